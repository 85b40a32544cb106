/**
 * JSON on its way: strings that are values are looked into, and hidden in; everything else keeps its bytes. Names are
 * not hidden, but say what stands behind them. From where a text is no JSON, the rest is plain text.
 */
import type { Mask } from "#durable/format/mask/finding.ts";
import type { Rules } from "../pattern/scan.ts";
import { Escape, endOfString, unescaped } from "./escape.ts";
import { Hiding } from "./hiding.ts";
import type { Masker } from "./masker.ts";
import { encode, Out } from "./out.ts";

/** What takes the text of one string. */
export type Leaf = {
  start(before?: Uint8Array): void;
  text(bytes: Uint8Array): void;
  escaped(raw: Uint8Array, plain: Uint8Array): void;
  end(): void;
};

/** The leaf for the string at a path such as `choices/0/delta/content`; undefined for the usual one. */
export type Leaves = (path: string) => Leaf | undefined;

type Expect = "value" | "first-value" | "name" | "first-name" | "colon" | "comma";
type Level = { readonly object: boolean; name: string; index: number };

const LEVELS_MAX = 2_000;
/** Letters of a name that matter. */
const NAME_MAX = 64;
/** Names behind which a value may be a secret that has no form of its own. */
const TELLING = /key|secret|token|pass|pwd|credential|authorization|bsn/i;
const LITERALS = ["true", "false", "null"];

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY, COLON, COMMA] = [
  0x7b, 0x7d, 0x5b, 0x5d, 0x3a, 0x2c,
];
/** What numbers and the three words are made of. */
const LETTERS = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[a-z0-9+.E-]/.test(String.fromCharCode(byte)) ? 1 : 0,
);
const WORD_MAX = 400;

export class JsonMasker implements Masker {
  readonly #out: Out;
  readonly #masks: Mask[] = [];
  readonly #hiding: Hiding;
  readonly #leaves: Leaves | undefined;
  readonly #escape = new Escape((raw, plain) => this.#leaf?.escaped(raw, plain));
  #levels: Level[] = [];
  #expect: Expect = "value";
  /** The string that is being read: a value's, or a name. */
  #leaf: Leaf | undefined;
  #inName = false;
  #name: number[] = [];
  /** A word or a number that is being read. */
  #word = "";
  /** Whether that is a number without fraction or exponent so far. */
  #digits = false;
  /** Room for the text of one string. */
  #text = new Uint8Array(0);
  /** No JSON any more. */
  #plain = false;

  constructor(rules: Rules, leaves?: Leaves, out = new Out()) {
    this.#out = out;
    this.#hiding = new Hiding(rules, out, this.#masks);
    this.#leaves = leaves;
  }

  push(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#read(bytes);
    this.#hiding.keep();
    return this.#out.take();
  }

  end(): Uint8Array<ArrayBuffer> {
    this.#escape.end();
    this.#leaf?.end();
    this.#leaf = undefined;
    if (this.#plain) this.#hiding.end();
    return this.#out.take();
  }

  masks(): Mask[] {
    return this.#masks.splice(0);
  }

  get out(): Out {
    return this.#out;
  }

  #read(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.byteLength) {
      if (this.#plain) {
        this.#hiding.text(bytes.subarray(at));
        return;
      }
      if (this.#leaf) at = this.#inString(this.#leaf, bytes, at);
      else if (this.#inName) at = this.#readName(bytes, at);
      else {
        at = this.#between(bytes, at);
        if (this.#leaf === this.#hiding) at = this.#clean(bytes, at);
      }
    }
  }

  /** Past a string that is all there and in which nothing is found, as most are; where it begins when it is not such a one. */
  #clean(bytes: Uint8Array, from: number): number {
    const end = endOfString(bytes, from);
    if (end < 0) return from;
    const raw = bytes.subarray(from, end);
    const text = raw.includes(BACKSLASH) ? unescaped(raw, this.#room(raw.byteLength)) : raw;
    if (text === undefined || this.#hiding.finds(text, this.#before())) return from;
    this.#leaf = undefined;
    this.#out.write(bytes.subarray(from, end + 1));
    this.#valueRead();
    return end + 1;
  }

  #room(length: number): Uint8Array<ArrayBuffer> {
    if (length > this.#text.byteLength) this.#text = new Uint8Array(length);
    return this.#text;
  }

  #inString(leaf: Leaf, bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.byteLength) {
      if (this.#escape.open) {
        if (this.#escape.take(bytes[at] ?? 0)) at += 1;
        continue;
      }
      const start = at;
      while (at < bytes.byteLength && bytes[at] !== QUOTE && bytes[at] !== BACKSLASH) at += 1;
      leaf.text(bytes.subarray(start, at));
      if (at === bytes.byteLength) break;
      if (bytes[at] === BACKSLASH) {
        this.#escape.take(BACKSLASH);
        at += 1;
        continue;
      }
      leaf.end();
      this.#leaf = undefined;
      this.#out.write(bytes.subarray(at, at + 1));
      this.#valueRead();
      return at + 1;
    }
    return at;
  }

  /** A name keeps its bytes; an escaped quote does not end it. */
  #readName(bytes: Uint8Array, from: number): number {
    let at = from;
    for (; at < bytes.byteLength; at++) {
      const byte = bytes[at] ?? 0;
      const escaped = this.#name.at(-1) === BACKSLASH;
      if (byte === QUOTE && !escaped) break;
      // Of two backslashes the second escapes nothing.
      if (escaped) this.#name[this.#name.length - 1] = 0x3f;
      if (escaped || this.#name.length < NAME_MAX || byte === BACKSLASH)
        this.#name.push(escaped ? 0x3f : byte);
    }
    if (at === bytes.byteLength) {
      this.#out.write(bytes.subarray(from));
      return at;
    }
    this.#out.write(bytes.subarray(from, at + 1));
    this.#inName = false;
    this.#expect = "colon";
    const level = this.#levels.at(-1);
    if (level) level.name = String.fromCharCode(...this.#name.slice(0, NAME_MAX));
    return at + 1;
  }

  #between(bytes: Uint8Array, from: number): number {
    let at = from;
    for (; at < bytes.byteLength; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === QUOTE && this.#quote()) {
        this.#out.write(bytes.subarray(from, at + 1));
        return at + 1;
      }
      if (byte !== QUOTE && this.#structure(byte)) continue;
      this.#out.write(bytes.subarray(from, at));
      this.#plain = true;
      this.#hiding.start();
      return at;
    }
    this.#out.write(bytes.subarray(from, at));
    return at;
  }

  /** Begins a string; false when none may stand here. */
  #quote(): boolean {
    if (!this.#wordRead()) return false;
    if (this.#expect === "name" || this.#expect === "first-name") {
      this.#inName = true;
      this.#name = [];
      return true;
    }
    if (this.#expect !== "value" && this.#expect !== "first-value") return false;
    this.#leaf = this.#leaves?.(this.#path()) ?? this.#hiding;
    this.#leaf.start(this.#before());
    return true;
  }

  /** The name of a value that may be a secret without a form of its own. */
  #before(): Uint8Array | undefined {
    const name = this.#levels.at(-1)?.name ?? "";
    return TELLING.test(name) ? encode(`"${name}":"`) : undefined;
  }

  #path(): string {
    return this.#levels.map(({ object, name, index }) => (object ? name : `${index}`)).join("/");
  }

  /** Takes a byte outside of strings; false when it may not stand there. */
  #structure(byte: number): boolean {
    if (LETTERS[byte] === 1) return this.#letter(String.fromCharCode(byte));
    if (!this.#wordRead()) return false;
    switch (byte) {
      case 0x20:
      case 0x09:
      case 0x0a:
      case 0x0d:
        return true;
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        return this.#open(byte === OPEN_OBJECT);
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        return this.#close(byte === CLOSE_OBJECT);
      case COLON:
        if (this.#expect !== "colon") return false;
        this.#expect = "value";
        return true;
      case COMMA:
        return this.#comma();
    }
    // A byte order mark may begin a text.
    return this.#out.length < 3 && this.#levels.length === 0 && [0xef, 0xbb, 0xbf].includes(byte);
  }

  #open(object: boolean): boolean {
    if ((this.#expect !== "value" && this.#expect !== "first-value") || this.#levels.length >= LEVELS_MAX)
      return false;
    this.#levels.push({ object, name: "", index: 0 });
    this.#expect = object ? "first-name" : "first-value";
    return true;
  }

  #close(object: boolean): boolean {
    const first = object ? "first-name" : "first-value";
    if (this.#levels.at(-1)?.object !== object || (this.#expect !== "comma" && this.#expect !== first))
      return false;
    this.#levels.pop();
    this.#valueRead();
    return true;
  }

  #comma(): boolean {
    const level = this.#levels.at(-1);
    if (!level || this.#expect !== "comma") return false;
    level.index += 1;
    this.#expect = level.object ? "name" : "value";
    return true;
  }

  /** Numbers and the three words; what is neither never gets past its first letters. */
  #letter(char: string): boolean {
    if (this.#word === "" && this.#expect !== "value" && this.#expect !== "first-value") return false;
    const digit = char >= "0" && char <= "9";
    this.#digits = digit && (this.#digits || this.#word === "" || this.#word === "-");
    this.#word += char;
    if (this.#digits) return this.#word.length <= WORD_MAX;
    if (LITERALS.some((literal) => literal.startsWith(this.#word))) return true;
    return this.#word.length <= WORD_MAX && /^-?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d*)?)?$/.test(this.#word);
  }

  #wordRead(): boolean {
    if (this.#word === "") return true;
    const whole = LITERALS.includes(this.#word) || /\d$/.test(this.#word);
    this.#word = "";
    this.#digits = false;
    if (whole) this.#valueRead();
    return whole;
  }

  #valueRead(): void {
    // After a value on its own another may follow, as in NDJSON.
    this.#expect = this.#levels.length > 0 ? "comma" : "value";
  }
}
