/**
 * Reads a pattern: the part of RE2's syntax that a finite automaton can run, over the bytes of UTF-8. Nothing in it can
 * look back or ahead further than one byte, so whatever it says is matched in one pass.
 */

/** Set of bytes. */
export type ByteSet = Uint8Array;

export type Node =
  | { readonly kind: "bytes"; readonly set: ByteSet }
  | { readonly kind: "seq"; readonly parts: readonly Node[] }
  | { readonly kind: "alt"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly part: Node; readonly min: number; readonly max: number }
  | { readonly kind: "assert"; readonly at: Assertion };

export type Assertion = "word" | "not-word" | "line-start" | "line-end";

/** What is wrong with a pattern, in words for whoever wrote it. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

/** Letters of a pattern's source. */
const SOURCE_MAX = 1_000;
/** `{n,m}`: larger ones would only make the automaton large. */
const REPEAT_MAX = 512;
const DEPTH_MAX = 50;

const encoder = new TextEncoder();

/** Throws `PatternError` with the place. `(?i)` in front makes ASCII letters match in both cases. */
export function parsePattern(source: string): Node {
  if (source.length > SOURCE_MAX) throw new PatternError(`is longer than ${SOURCE_MAX} characters`);
  const flagged = source.startsWith("(?i)");
  return new Parser(flagged ? source.slice(4) : source, flagged).whole();
}

/** The pattern that matches exactly these bytes. */
export function literal(text: string): Node {
  return {
    kind: "seq",
    parts: [...encoder.encode(text)].map((byte) => ({ kind: "bytes", set: only(byte) })),
  };
}

export function setOf(...ranges: readonly (readonly [from: number, to: number])[]): ByteSet {
  const set = new Uint8Array(256);
  for (const [from, to] of ranges) set.fill(1, from, to + 1);
  return set;
}

const only = (byte: number): ByteSet => setOf([byte, byte]);
const both = (a: ByteSet, b: ByteSet): ByteSet => a.map((value, i) => value | (b[i] ?? 0));
const ASCII = setOf([0, 127]);
const CONTINUATION = setOf([0x80, 0xbf]);
const LEAD = setOf([0xc0, 0xff]);
const DIGIT = setOf([48, 57]);
const WORD = setOf([48, 57], [65, 90], [95, 95], [97, 122]);
const SPACE = setOf([9, 13], [32, 32]);

export const isWordByte = (byte: number): boolean => WORD[byte] === 1;

/** ASCII bytes outside of `set`; a character beyond ASCII counts as one, and is matched whole. */
function outside(set: ByteSet): Node {
  const ascii = ASCII.map((value, i) => (value === 1 && set[i] === 0 ? 1 : 0));
  const longer: Node = {
    kind: "seq",
    parts: [
      { kind: "bytes", set: LEAD },
      { kind: "repeat", part: { kind: "bytes", set: CONTINUATION }, min: 0, max: 3 },
    ],
  };
  return { kind: "alt", parts: [{ kind: "bytes", set: ascii }, longer] };
}

const ESCAPED: Readonly<Record<string, ByteSet>> = { d: DIGIT, w: WORD, s: SPACE };
const CONTROL: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11 };

class Parser {
  readonly #source: readonly string[];
  readonly #bothCases: boolean;
  #at = 0;
  #depth = 0;

  constructor(source: string, bothCases: boolean) {
    this.#source = [...source];
    this.#bothCases = bothCases;
  }

  whole(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#source.length) throw this.#error("has a ) that closes nothing");
    return node;
  }

  #error(text: string): PatternError {
    return new PatternError(`${text}, at character ${this.#at + 1}`);
  }

  #peek(): string | undefined {
    return this.#source[this.#at];
  }

  #take(): string | undefined {
    return this.#source[this.#at++];
  }

  #alternatives(): Node {
    if (++this.#depth > DEPTH_MAX) throw this.#error(`is nested more than ${DEPTH_MAX} deep`);
    const parts = [this.#sequence()];
    while (this.#peek() === "|") {
      this.#at += 1;
      parts.push(this.#sequence());
    }
    this.#depth -= 1;
    const [first, ...more] = parts;
    return first && more.length === 0 ? first : { kind: "alt", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek())
      parts.push(this.#repeated(this.#atom()));
    return { kind: "seq", parts };
  }

  #repeated(part: Node): Node {
    const bounds = this.#bounds();
    if (!bounds) return part;
    // Lazy or greedy: the same text is matched.
    if (this.#peek() === "?") this.#at += 1;
    const next = this.#peek();
    if (next === "*" || next === "+") throw this.#error("repeats a repetition");
    if (part.kind === "assert") throw this.#error("repeats what takes no characters");
    return { kind: "repeat", part, ...bounds };
  }

  #bounds(): { readonly min: number; readonly max: number } | undefined {
    const next = this.#peek();
    if (next === "*" || next === "+" || next === "?") {
      this.#at += 1;
      return { min: next === "+" ? 1 : 0, max: next === "?" ? 1 : Number.POSITIVE_INFINITY };
    }
    if (next !== "{") return undefined;
    const text = this.#source.slice(this.#at, this.#at + 12).join("");
    const match = /^\{(\d{1,4})(?:(,)(\d{1,4})?)?\}/.exec(text);
    if (!match) throw this.#error("has a { that is no {n}, {n,} or {n,m}; write \\{ for the character");
    this.#at += match[0].length;
    const min = Number(match[1]);
    const max =
      match[2] === undefined ? min : match[3] === undefined ? Number.POSITIVE_INFINITY : Number(match[3]);
    if (max < min) throw this.#error("repeats at least more often than at most");
    if (min > REPEAT_MAX || (max > REPEAT_MAX && max !== Number.POSITIVE_INFINITY))
      throw this.#error(`repeats more than ${REPEAT_MAX} times`);
    return { min, max };
  }

  #atom(): Node {
    const char = this.#take() ?? "";
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return this.#class();
      case ".":
        return outside(only(10));
      case "^":
        return { kind: "assert", at: "line-start" };
      case "$":
        return { kind: "assert", at: "line-end" };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
      case "{":
        this.#at -= 1;
        throw this.#error(`has a ${char} with nothing before it`);
    }
    return this.#character(char);
  }

  #group(): Node {
    const opened = this.#at;
    if (this.#peek() === "?") {
      const named = /^\?(?:P?<[A-Za-z]\w*>|:)/.exec(this.#source.slice(this.#at, this.#at + 40).join(""));
      if (!named)
        throw this.#error("uses a group of a kind that is not supported (lookahead, lookbehind, flags)");
      this.#at += named[0].length;
    }
    const node = this.#alternatives();
    if (this.#take() !== ")") {
      this.#at = opened;
      throw this.#error("has a ( that is never closed");
    }
    return node;
  }

  #escape(): Node {
    const char = this.#take();
    if (char === undefined) throw this.#error("ends in a backslash");
    if (char === "b") return { kind: "assert", at: "word" };
    if (char === "B") return { kind: "assert", at: "not-word" };
    const set = ESCAPED[char];
    if (set) return { kind: "bytes", set };
    const negated = ESCAPED[char.toLowerCase()];
    if (negated) return outside(negated);
    return this.#character(this.#escaped(char));
  }

  /** The character that an escape stands for. */
  #escaped(char: string): string {
    const control = CONTROL[char];
    if (control !== undefined) return String.fromCharCode(control);
    if (char === "x") {
      const match = /^(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})/.exec(
        this.#source.slice(this.#at, this.#at + 8).join(""),
      );
      const code = Number.parseInt(match?.[1] ?? match?.[2] ?? "", 16);
      if (!match || code > 0x10ffff) throw this.#error("has a \\x without a character's number");
      this.#at += match[0].length;
      return String.fromCodePoint(code);
    }
    if (/[A-Za-z0-9]/.test(char)) throw this.#error(`uses \\${char}, which is not supported`);
    return char;
  }

  #class(): Node {
    const opened = this.#at;
    const negated = this.#peek() === "^";
    if (negated) this.#at += 1;
    let set = new Uint8Array(256) as ByteSet;
    const longer: Node[] = [];
    for (let first = true; ; first = false) {
      const char = this.#take();
      if (char === undefined) {
        this.#at = opened;
        throw this.#error("has a [ that is never closed");
      }
      if (char === "]" && !first) break;
      if (char === "[" && this.#peek() === ":") throw this.#error("uses [:…:], which is not supported");
      const known = char === "\\" ? ESCAPED[this.#peek() ?? ""] : undefined;
      if (known) {
        this.#at += 1;
        set = both(set, known);
        continue;
      }
      const from = this.#classCharacter(char);
      const to = this.#rangeEnd() ?? from;
      const [low, high] = [from.codePointAt(0) ?? 0, to.codePointAt(0) ?? 0];
      if (high < low) throw this.#error("has a range that ends before it begins");
      if (low > 127 || high > 127) {
        if (from !== to) throw this.#error("has a range beyond ASCII: list its characters");
        longer.push(literal(from));
      } else set = both(set, this.#cased(low, high));
    }
    if (negated && longer.length > 0)
      throw this.#error("excludes characters beyond ASCII, which is not supported");
    if (negated) return outside(set);
    return longer.length === 0
      ? { kind: "bytes", set }
      : { kind: "alt", parts: [{ kind: "bytes", set }, ...longer] };
  }

  #classCharacter(char: string): string {
    if (char !== "\\") return char;
    const escaped = this.#take();
    if (escaped === undefined) throw this.#error("ends in a backslash");
    return this.#escaped(escaped);
  }

  #rangeEnd(): string | undefined {
    if (this.#peek() !== "-" || this.#source[this.#at + 1] === "]") return undefined;
    this.#at += 1;
    const char = this.#take();
    if (char === undefined) throw this.#error("has a [ that is never closed");
    return this.#classCharacter(char);
  }

  #character(char: string): Node {
    const code = char.codePointAt(0) ?? 0;
    return code > 127 ? literal(char) : { kind: "bytes", set: this.#cased(code, code) };
  }

  #cased(low: number, high: number): ByteSet {
    const set = setOf([low, high]);
    if (!this.#bothCases) return set;
    for (let i = 65; i <= 90; i++) if (set[i] || set[i + 32]) set[i] = set[i + 32] = 1;
    return set;
  }
}
