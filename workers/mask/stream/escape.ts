/** An escape in a JSON string (RFC 8259 §7), byte by byte: two surrogates in a row are one character. */
import { encode } from "./out.ts";

const SIMPLE: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

export class Escape {
  readonly #give: (raw: Uint8Array, plain: Uint8Array) => void;
  #raw = "";

  constructor(give: (raw: Uint8Array, plain: Uint8Array) => void) {
    this.#give = give;
  }

  get open(): boolean {
    return this.#raw !== "";
  }

  /** Takes the next byte; false when it belongs to what follows, and the escape is over. */
  take(byte: number): boolean {
    const char = String.fromCharCode(byte);
    const raw = this.#raw + char;
    // Only the second half of a pair may go on after six letters.
    if (raw.length === 7 && char !== "\\") return this.#over();
    if (raw.length === 8 && char !== "u") return this.#over("\\");
    this.#raw = raw;
    if (raw.length === 2 && char !== "u") this.#finish(SIMPLE[char] ?? raw);
    else if (raw.length === 6) this.#unit();
    else if (raw.length === 12) this.#pair();
    return true;
  }

  /** The text ends within it. */
  end(): void {
    if (this.#raw !== "") this.#finish(this.#raw);
  }

  #unit(): void {
    const code = hex(this.#raw.slice(2));
    if (code === undefined) this.#finish(this.#raw);
    // A high one waits for its second half.
    else if (code < 0xd800 || code > 0xdbff) this.#finish(String.fromCharCode(code));
  }

  #pair(): void {
    const [high, low] = [hex(this.#raw.slice(2, 6)), hex(this.#raw.slice(8))];
    if (high !== undefined && low !== undefined && low >= 0xdc00 && low <= 0xdfff) {
      this.#finish(String.fromCharCode(high, low));
      return;
    }
    const second = this.#raw.slice(6);
    this.#raw = this.#raw.slice(0, 6);
    this.#finish("\ufffd");
    this.#raw = second;
    this.#unit();
  }

  /** A high surrogate alone: no character. `left` is what came after it. */
  #over(left = ""): boolean {
    this.#raw = this.#raw.slice(0, 6);
    this.#finish("\ufffd");
    this.#raw = left;
    return false;
  }

  #finish(plain: string): void {
    const raw = Uint8Array.from(this.#raw, (char) => char.charCodeAt(0));
    this.#raw = "";
    this.#give(raw, encode(plain));
  }
}

const hex = (text: string): number | undefined =>
  /^[0-9a-fA-F]{4}$/.test(text) ? Number.parseInt(text, 16) : undefined;
