/** zlib streams that lie one behind the other: each is inflated to exactly the size its entry says, and no further. */
import { createInflate, inflateSync } from "node:zlib";
import { type Bytes, broken } from "./bytes.ts";

export type Inflated = { readonly content: Bytes; readonly used: number };

/** What node:zlib returns with `info: true`; its types know only the buffer. */
type WithEngine = { readonly buffer: Bytes; readonly engine: { readonly bytesWritten: number } };

/**
 * Undefined when the stream does not end within `input`, which may go on behind it. The engine stops at the first byte
 * over `size`, so a bomb costs no more than its entry admits to.
 */
export function inflateExactly(input: Bytes, size: number): Inflated | undefined {
  let result: WithEngine;
  try {
    result = inflateSync(input, {
      info: true,
      maxOutputLength: Math.max(size, 1),
      chunkSize: Math.min(Math.max(size + 1, 64), 64 * 1024),
    }) as unknown as WithEngine;
  } catch (cause) {
    if (cause instanceof RangeError) throw otherSize(cause);
    if (cause instanceof Error && "code" in cause && cause.code === "Z_BUF_ERROR") return undefined;
    throw notZlib(cause);
  }
  if (result.buffer.byteLength !== size) throw otherSize();
  return { content: result.buffer, used: result.engine.bytesWritten };
}

/** How many bytes a stream of `size` inflated bytes takes at most, as any real deflate writes it. */
export const deflatedMost = (size: number): number => size + (size >> 8) + 1024;

/** One large zlib stream that arrives in pieces. `write` until it says how many bytes of the last piece it used. */
export class LargeInflate {
  readonly #size: number;
  readonly #engine = createInflate({ chunkSize: 256 * 1024 });
  readonly #over: Promise<void>;
  #made = 0;
  #given = 0;
  #ended = false;

  /** `take` gets what was inflated, in order; at most `size` bytes. */
  constructor(size: number, take: (piece: Bytes) => void) {
    this.#size = size;
    this.#over = new Promise((resolve, reject) => {
      this.#engine.on("data", (piece: Bytes) => {
        this.#made += piece.byteLength;
        if (this.#made > size) this.#engine.destroy(otherSize());
        else take(piece);
      });
      this.#engine.on("end", () => {
        this.#ended = true;
        resolve();
      });
      this.#engine.on("error", (cause: unknown) => reject(cause));
    });
    // It may fail while nobody waits: the next write says so.
    this.#over.catch(() => undefined);
  }

  /** Undefined while the stream goes on; then how many bytes of `piece` belonged to it. Refuses what is not zlib. */
  async write(piece: Bytes): Promise<number | undefined> {
    const before = this.#given;
    this.#given += piece.byteLength;
    const written = new Promise<void>((resolve) => {
      this.#engine.write(piece, () => resolve());
    });
    try {
      await Promise.race([written, this.#over]);
      // The end is told a turn after the write that brought it.
      if (!this.#ended && this.#made >= this.#size && this.#engine.bytesWritten < this.#given)
        await this.#over;
    } catch (cause) {
      throw cause instanceof Error && cause.name === "Refusal" ? cause : notZlib(cause);
    }
    if (!this.#ended) return undefined;
    if (this.#made !== this.#size) throw otherSize();
    return this.#engine.bytesWritten - before;
  }

  /** Nothing more is inflated. */
  stop(): void {
    this.#engine.destroy();
  }
}

const otherSize = (cause?: unknown) => broken("an object's size is not what it says", cause);
const notZlib = (cause: unknown) => broken("an object is not zlib data", cause);
