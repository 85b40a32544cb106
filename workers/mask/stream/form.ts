/** A form as browsers send it (application/x-www-form-urlencoded): values are looked into, names say what they are. */
import type { Mask } from "#durable/format/mask/finding.ts";
import type { Rules } from "../pattern/scan.ts";
import { Hiding } from "./hiding.ts";
import type { Masker } from "./masker.ts";
import { encode, Out } from "./out.ts";

const NAME_MAX = 64;
const AND = 0x26;
const EQUALS = 0x3d;
const PERCENT = 0x25;
const PLUS = 0x2b;

const SINGLES = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
const single = (byte: number): Uint8Array => SINGLES[byte] ?? Uint8Array.of(byte);

/** The value of a hexadecimal digit; -1 when it is none. */
function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

export class FormMasker implements Masker {
  readonly #out = new Out();
  readonly #masks: Mask[] = [];
  readonly #hiding: Hiding;
  #name: number[] = [];
  #inValue = false;
  /** A percent sign and what of its two digits came. */
  #percent: number[] = [];

  constructor(rules: Rules) {
    this.#hiding = new Hiding(rules, this.#out, this.#masks, encodeURIComponent);
  }

  push(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    for (let at = 0; at < bytes.byteLength; )
      at = this.#inValue ? this.#value(bytes, at) : this.#readName(bytes, at);
    this.#hiding.keep();
    return this.#out.take();
  }

  end(): Uint8Array<ArrayBuffer> {
    this.#endValue();
    return this.#out.take();
  }

  masks(): Mask[] {
    return this.#masks.splice(0);
  }

  #readName(bytes: Uint8Array, from: number): number {
    for (let at = from; at < bytes.byteLength; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === AND) this.#name = [];
      else if (byte !== EQUALS) {
        if (this.#name.length < NAME_MAX) this.#name.push(byte);
      } else {
        this.#out.write(bytes.subarray(from, at + 1));
        this.#inValue = true;
        this.#hiding.start(encode(`${String.fromCharCode(...this.#name)}=`));
        this.#name = [];
        return at + 1;
      }
    }
    this.#out.write(bytes.subarray(from));
    return bytes.byteLength;
  }

  #value(bytes: Uint8Array, from: number): number {
    const byte = bytes[from] ?? 0;
    if (byte === PERCENT && this.#percent.length === 0 && from + 2 < bytes.byteLength) {
      const [high, low] = [digitOf(bytes[from + 1] ?? 0), digitOf(bytes[from + 2] ?? 0)];
      if (high >= 0 && low >= 0) {
        this.#hiding.escaped(bytes.subarray(from, from + 3), single(16 * high + low));
        return from + 3;
      }
    }
    if (this.#percent.length > 0) {
      this.#digit(byte);
      return from + 1;
    }
    if (byte === AND) {
      this.#endValue();
      this.#out.write(bytes.subarray(from, from + 1));
      return from + 1;
    }
    if (byte === PERCENT) {
      this.#percent = [byte];
      return from + 1;
    }
    if (byte === PLUS) {
      this.#hiding.escaped(bytes.subarray(from, from + 1), single(0x20));
      return from + 1;
    }
    let at = from;
    for (; at < bytes.byteLength; at++) {
      const next = bytes[at];
      if (next === AND || next === PERCENT || next === PLUS) break;
    }
    this.#hiding.text(bytes.subarray(from, at));
    return at;
  }

  /** What is no escape is the text it looks like. */
  #digit(byte: number): void {
    this.#percent.push(byte);
    const text = String.fromCharCode(...this.#percent.slice(1));
    if (!/^[0-9a-fA-F]{1,2}$/.test(text))
      this.#endPercent(byte === AND || byte === PERCENT ? byte : undefined);
    else if (text.length === 2) {
      const raw = Uint8Array.from(this.#percent);
      this.#percent = [];
      this.#hiding.escaped(raw, Uint8Array.of(Number.parseInt(text, 16)));
    }
  }

  #endPercent(again: number | undefined): void {
    const kept = again === undefined ? this.#percent : this.#percent.slice(0, -1);
    this.#percent = [];
    this.#hiding.text(Uint8Array.from(kept));
    if (again !== undefined) this.#value(Uint8Array.of(again), 0);
  }

  #endValue(): void {
    if (this.#percent.length > 0) this.#endPercent(undefined);
    if (this.#inValue) this.#hiding.end();
    this.#inValue = false;
  }
}
