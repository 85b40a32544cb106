/** A body that the decision needs all of: durable piece by piece, read as it comes, and read again where that is needed. */
import { createHash } from "node:crypto";
import type { ExchangeId, SessionId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Spooled } from "#workers/adapters/adapter.ts";
import type { Body } from "#workers/wire/body.ts";
import { bodyStalled, inTime } from "#workers/wire/in-time.ts";
import { pieces } from "#workers/wire/pieces.ts";
import { granted } from "#workers/wire/problem.ts";
import { ReadAhead } from "#workers/wire/read-ahead.ts";
import type { Looked, Means, Read } from "../exchange.ts";
import { requestTape } from "../record.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Streamed = Extract<Body, { readonly kind: "stream" }>;

const CHUNK = 1024 * 1024;
/** Pieces that are held for being read again. */
const BLOCKS_MAX = 8;

/**
 * Nothing of the body leaves before it is decided upon. What stops the reading is the flaw of what comes back: what was
 * spooled until then is the evidence of what was sent.
 */
export async function spool(read: Read, means: Means): Promise<Looked> {
  const { inspected, x, opening } = read;
  const { unread, body } = inspected;
  if (!unread || body.kind !== "stream") return read;
  const tape = { ...requestTape(read), git: [], body: { kind: "spooled" } as const };
  const { session } = granted(await means.append.begin(opening, tape));
  const spooling = new Spooling({ session, x }, body, means);
  try {
    const whole = await unread(spooling);
    return { ...read, inspected: { ...whole, body: await spooling.body() } };
  } catch (flaw) {
    const { operation, abridged, outgoing } = inspected;
    const seen = { operation, ...(abridged && { abridged }), outgoing };
    return { ...read, inspected: { ...seen, body: await spooling.body(), flaw } };
  }
}

class Spooling implements Spooled {
  readonly #place: { readonly session: SessionId; readonly x: ExchangeId };
  readonly #body: Streamed;
  readonly #means: Means;
  readonly #hash = createHash("sha256");
  readonly #reader: ReadableStreamBYOBReader;
  readonly #source: ReadAhead;
  readonly #blocks = new Map<number, Bytes>();
  #length = 0;
  #begun = false;
  #ahead: Promise<Bytes | undefined> | undefined;

  constructor(place: { session: SessionId; x: ExchangeId }, body: Streamed, means: Means) {
    this.#place = place;
    this.#body = body;
    this.#means = means;
    this.#reader = body.rest.getReader({ mode: "byob" });
    const within = <T>(read: Promise<T>) => inTime(read, means.settings.stallSeconds, bodyStalled);
    this.#source = new ReadAhead(pieces(this.#reader, within), CHUNK, moment);
  }

  /** The next piece is made durable while this one is read. */
  async next(): Promise<Bytes | undefined> {
    const piece = await (this.#ahead ?? this.#take());
    this.#ahead = piece && this.#take();
    this.#ahead?.catch(() => undefined);
    return piece;
  }

  async again(off: number, length: number): Promise<Bytes> {
    const first = Math.floor(off / CHUNK);
    const last = Math.floor((off + Math.max(length, 1) - 1) / CHUNK);
    const whole = new Uint8Array(length);
    for (let n = first; n <= last; n++) {
      const block = await this.#block(n);
      const from = Math.max(off - n * CHUNK, 0);
      const part = block.subarray(from, Math.min(off + length - n * CHUNK, block.byteLength));
      whole.set(part, Math.max(n * CHUNK - off, 0));
    }
    return whole;
  }

  /** All that was spooled, and what has not been read of it. Nothing is read after this but bytes again. */
  async body(): Promise<Extract<Body, { readonly kind: "spooled" }>> {
    await this.#ahead?.catch(() => undefined);
    const { session } = this.#place;
    const sha256 = this.#hash.digest("hex");
    return { kind: "spooled", session, length: this.#length, sha256, rest: () => this.#rest() };
  }

  async #take(): Promise<Bytes | undefined> {
    const piece = this.#begun ? await this.#arriving() : this.#body.prefix;
    this.#begun = true;
    if (!piece) return undefined;
    const { session, x } = this.#place;
    granted(await this.#means.append.spool(session, x, this.#length, piece));
    this.#hash.update(piece);
    this.#length += piece.byteLength;
    return piece;
  }

  async #arriving(): Promise<Bytes | undefined> {
    try {
      return (await this.#source.take()) as Bytes | undefined;
    } catch (cause) {
      throw cause instanceof Refusal ? cause : brokeOff(cause);
    }
  }

  async #block(n: number): Promise<Bytes> {
    const known = this.#blocks.get(n);
    if (known) {
      this.#blocks.delete(n);
      this.#blocks.set(n, known);
      return known;
    }
    const { session, x } = this.#place;
    const end = Math.min((n + 1) * CHUNK, this.#length);
    const block = new Uint8Array(Math.max(end - n * CHUNK, 0));
    for (let at = n * CHUNK; at < end; ) {
      const piece = granted(await this.#means.append.spooled(session, x, at));
      if (piece.byteLength === 0) throw new Error("spooled bytes are not there");
      block.set(piece.subarray(0, end - at), at - n * CHUNK);
      at += piece.byteLength;
    }
    this.#blocks.set(n, block);
    const [oldest] = this.#blocks.keys();
    if (this.#blocks.size > BLOCKS_MAX && oldest !== undefined) this.#blocks.delete(oldest);
    return block;
  }

  /** What still comes of a body whose reading was given up. */
  async *#rest(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const piece = await this.#source.take();
        if (!piece) return;
        yield piece;
      }
    } catch {
      // A client that hangs up or stalls while it is being refused has ended it.
    } finally {
      void this.#reader.cancel().catch(() => undefined);
    }
  }
}

const brokeOff = (cause: unknown) => new Refusal("malformed", "the request body broke off", { cause });
const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
