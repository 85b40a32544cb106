/** An answer on its way through a masker: bytes that may be shown, and what was hidden in those. */
import type { Header, MaskFrame } from "#durable/format/frame.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { maskerFor } from "#workers/mask/reading.ts";
import type { Masker } from "#workers/mask/stream/masker.ts";
import { concat } from "#workers/mask/stream/out.ts";
import type { Forwarded } from "../exchange.ts";
import { DIGESTS, frameOf } from "./mask.ts";

/** What a masked answer cannot promise: its length, digests of what it was, and that it comes in ranges. */
const UNTRUE: ReadonlySet<string> = new Set([
  ...DIGESTS,
  "content-length",
  "accept-ranges",
  "content-range",
  "etag",
]);

export class Masking {
  readonly #masker: Masker;
  readonly #x: Forwarded["x"];
  #found: MaskFrame[] = [];
  #ended = false;

  constructor(masker: Masker, x: Forwarded["x"]) {
    this.#masker = masker;
    this.#x = x;
  }

  all(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    return concat([this.#masker.push(bytes), this.#end()]);
  }

  /** A reader of what may be shown, over one of what comes. */
  over(read: () => Promise<Uint8Array | undefined>): () => Promise<Uint8Array | undefined> {
    return async () => {
      while (!this.#ended) {
        const piece = await read();
        const shown = piece ? this.#masker.push(piece) : this.#end();
        if (shown.byteLength > 0) return shown;
      }
      return undefined;
    };
  }

  /** What was hidden before `off` of what is shown, each once. */
  before(off: number): readonly MaskFrame[] {
    this.#found.push(...this.#masker.masks().map((mask) => frameOf(mask, this.#x, "s2c")));
    const told = this.#found.filter((frame) => frame.off < off);
    this.#found = this.#found.filter((frame) => frame.off >= off);
    return told;
  }

  #end(): Uint8Array<ArrayBuffer> {
    this.#ended = true;
    return this.#masker.end();
  }
}

/** Undefined when nothing is masked. Refuses an answer that cannot be read: what is not read cannot be masked. */
export function maskingOf({ adapter, inspected, rules, response, x }: Forwarded): Masking | undefined {
  const reading = adapter.reading?.(inspected, response) ?? "none";
  if (!rules || reading === "none" || !response.body) return undefined;
  const coding = response.headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (coding === "identity") return new Masking(maskerFor(reading, rules), x);
  void response.body.cancel().catch(() => undefined);
  throw new Refusal(
    "upstream_protocol",
    "the upstream answered in an encoding that was not asked for, and what cannot be read cannot be masked",
  );
}

export const maskedHeaders = (headers: readonly Header[]): Header[] =>
  headers.filter(([name]) => !UNTRUE.has(name));
