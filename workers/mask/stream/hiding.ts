/** Writes text out as it was written in its format, but for what the rules hide. */
import { type Mask, replacement } from "#durable/format/mask/finding.ts";
import { type Hit, type Rules, Scan, type Sink } from "../pattern/scan.ts";
import type { Rule } from "../rule.ts";
import { concat, encode, type Out } from "./out.ts";

const NOTHING = new Uint8Array(0);

/** A part of the text and how it was written: to be cut anywhere, or an escape, which stands or falls as a whole. */
type Run = { length: number; raw: Uint8Array; readonly whole: boolean };

export class Hiding implements Sink {
  readonly #scan: Scan;
  /** The same for texts that are whole: it only says whether there is anything. */
  readonly #look: Scan;
  #found = false;
  readonly #out: Out;
  readonly #masks: Mask[];
  readonly #write: (text: string) => string;
  /** From `#first` on they are not told yet. */
  #runs: Run[] = [];
  #first = 0;
  /** Text that came and is not read yet: escapes are short, and reading has a price of its own. */
  #unread: Uint8Array[] = [];
  #off = 0;

  /** `write` is how a replacement is written in the format. Masks are added to `masks`, with offsets in `out`. */
  constructor(rules: Rules, out: Out, masks: Mask[], write: (text: string) => string = (text) => text) {
    this.#scan = new Scan(rules, this);
    const nothing = () => undefined;
    const hide = () => {
      this.#found = true;
    };
    this.#look = new Scan(rules, { pass: nothing, hide, skip: nothing, hid: nothing });
    this.#out = out;
    this.#masks = masks;
    this.#write = write;
  }

  /** Whether the rules find something in a text that is whole, before which `before` stands. Nothing is written. */
  finds(text: Uint8Array, before?: Uint8Array): boolean {
    this.#found = false;
    this.#look.reset(before);
    this.#look.push(text);
    this.#look.end();
    return this.#found;
  }

  /** A new text, before which `before` stands. */
  start(before?: Uint8Array): void {
    this.#scan.reset(before);
  }

  text(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#runs.push({ length: bytes.byteLength, raw: bytes, whole: false });
    this.#unread.push(bytes);
  }

  /** `raw` stands for `plain`. */
  escaped(raw: Uint8Array, plain: Uint8Array): void {
    this.#runs.push({ length: plain.byteLength, raw, whole: true });
    this.#unread.push(plain);
  }

  end(): void {
    this.#read();
    this.#scan.end();
  }

  /** Tells what can be told. What is held is copied: the chunk it lies in is its owner's. */
  keep(): void {
    this.#read();
    if (this.#first > 0) this.#runs.splice(0, this.#first);
    this.#first = 0;
    for (const run of this.#runs) run.raw = run.raw.slice();
  }

  #read(): void {
    if (this.#unread.length === 0) return;
    const [only = NOTHING, ...others] = this.#unread;
    const bytes = others.length === 0 ? only : concat(this.#unread);
    this.#unread = [];
    this.#scan.push(bytes);
  }

  pass(length: number): void {
    this.#consume(length, true);
  }

  skip(length: number): void {
    this.#consume(length, false);
  }

  hide({ detector }: Rule): void {
    this.#off = this.#out.length;
    this.#out.write(encode(this.#write(replacement(detector))));
  }

  hid({ rule, severity, length, sha256 }: Hit): void {
    const { detector, name } = rule;
    this.#masks.push({ detector, rule: name, severity, off: this.#off, len: length, sha256 });
  }

  #consume(length: number, shown: boolean): void {
    let left = length;
    while (left > 0) {
      const run = this.#runs[this.#first];
      if (!run) throw new Error("more was told than came");
      const taken = Math.min(left, run.length);
      left -= taken;
      if (run.whole || taken === run.length) {
        // Of an escape that is cut, which no rule does, the first part stands for all of it.
        if (shown) this.#out.write(run.raw);
        run.raw = NOTHING;
      } else {
        if (shown) this.#out.write(run.raw.subarray(0, taken));
        run.raw = run.raw.subarray(taken);
      }
      run.length -= taken;
      if (run.length === 0) this.#first += 1;
    }
  }
}
