/** One text that comes in pieces, each in an event of its own. */
import type { Mask } from "#durable/format/mask/finding.ts";
import type { Leaf } from "./json.ts";
import type { Masker } from "./masker.ts";
import { concat, encode, type Out } from "./out.ts";

const decoder = new TextDecoder();

export class Field {
  readonly #masker: Masker;
  /** Bytes that came out before the piece that is being written. */
  #before = 0;
  /** The last event that carried a piece of it, and where in it: what is held at the end goes out in one like it. */
  last: { readonly payload: Uint8Array; readonly path: string };

  constructor(masker: Masker, last: Field["last"]) {
    this.#masker = masker;
    this.last = last;
  }

  /** What of a piece, and of what was held, can be shown; with `ends` all of it. */
  next(piece: Uint8Array, ends: boolean): Uint8Array {
    const shown = this.#masker.push(piece);
    return ends ? concat([shown, this.#masker.end()]) : shown;
  }

  /** Masks in `shown`, with offsets in what is written of it from `at` on. */
  masks(shown: Uint8Array, at: number): Mask[] {
    const before = this.#before;
    this.#before += shown.byteLength;
    return this.#masker.masks().map((mask) => {
      const inside = Math.max(0, mask.off - before);
      return { ...mask, off: at + escaped(shown.subarray(0, inside)).byteLength };
    });
  }
}

/** Bytes of text as they stand in a JSON string. */
export const escaped = (plain: Uint8Array): Uint8Array =>
  encode(JSON.stringify(decoder.decode(plain)).slice(1, -1));

/** A leaf that is a piece of a field: it keeps its bytes when nothing of it is held or hidden. */
export class PieceLeaf implements Leaf {
  readonly #field: Field;
  readonly #ends: boolean;
  readonly #out: Out;
  readonly #masks: Mask[];
  /** Where it stands in what is written, once it has ended. */
  from = 0;
  to = 0;
  #raw: Uint8Array[] = [];
  #plain: Uint8Array[] = [];

  constructor(field: Field, ends: boolean, out: Out, masks: Mask[]) {
    this.#field = field;
    this.#ends = ends;
    this.#out = out;
    this.#masks = masks;
  }

  start(): void {
    this.#raw = [];
    this.#plain = [];
  }

  text(bytes: Uint8Array): void {
    this.escaped(bytes, bytes);
  }

  escaped(raw: Uint8Array, plain: Uint8Array): void {
    this.#raw.push(raw);
    this.#plain.push(plain);
  }

  end(): void {
    const plain = concat(this.#plain);
    const shown = this.#field.next(plain, this.#ends);
    this.#masks.push(...this.#field.masks(shown, this.#out.length));
    this.from = this.#out.length;
    this.#out.write(same(plain, shown) ? concat(this.#raw) : escaped(shown));
    this.to = this.#out.length;
  }
}

/** A leaf that is written as something else: in an event that is made to carry what was held. */
export class OtherLeaf implements Leaf {
  readonly #write: () => void;
  constructor(write: () => void) {
    this.#write = write;
  }
  start(): void {}
  text(): void {}
  escaped(): void {}
  end(): void {
    this.#write();
  }
}

export const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.byteLength === b.byteLength && differs(a, b) < 0;

/** Where they differ first; -1 when they do not. */
function differs(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return i;
  return -1;
}
