/**
 * Looks for all rules in text that comes in chunks, and says what it finds as soon as it is sure. What it says is a
 * function of the text alone: however that was cut into chunks, the same bytes are hidden.
 *
 * Text is held back only while something that may become a match has begun. A match that is longer than what is held,
 * and may still go on, is hidden from then on for as long as it does.
 */
import { createHash, type Hash } from "node:crypto";
import type { Severity } from "#durable/format/decision.ts";
import type { Rule } from "../rule.ts";
import { type Automaton, END, IDLE } from "./automaton.ts";
import { coverage } from "./coverage.ts";
import { MATCH_MAX, reach, type Side, sideOf } from "./program.ts";

export type Rules = { readonly rules: readonly Rule[]; readonly automaton: Automaton };

/** What was hidden: how many bytes, and their SHA-256, lower-case hex. */
export type Hit = {
  readonly rule: Rule;
  readonly severity: Severity;
  readonly length: number;
  readonly sha256: string;
};

export type Sink = {
  /** The next `length` bytes are not hidden. */
  pass(length: number): void;
  /** Here begins what `rule` hides: what stands for it can be written. */
  hide(rule: Rule): void;
  /** The next `length` bytes are part of it. */
  skip(length: number): void;
  /** That was all of it. */
  hid(hit: Hit): void;
};

/** Twice the longest match, so that none is missed for what stands around it. */
export const HOLD_MAX = 2 * MATCH_MAX;

type Span = { from: number; to: number; rule: Rule; severity: Severity; open: readonly number[] };
type Long = {
  readonly rule: Rule;
  readonly severity: Severity;
  /** Where it goes on from what was read. */
  at: readonly number[];
  length: number;
  readonly hash: Hash;
};

const NOTHING = new Uint8Array(0);
const RANK: Readonly<Record<Severity, number>> = { low: 0, medium: 1, high: 2, critical: 3 };

export class Scan {
  readonly #rules: readonly Rule[];
  readonly #automaton: Automaton;
  readonly #sink: Sink;
  /** What came and is not told yet, from `#out` on; `#at` of it is read, and what began at `#start` is still open. */
  #text: Uint8Array = NOTHING;
  #out = 0;
  #start = 0;
  #at = 0;
  #state = 0;
  #generation: number;
  /** What stands before the first byte of `#text`. */
  #before: Side = 0;
  /** How many bytes from `#out` on only stand before the text that is meant. */
  #silent = 0;
  readonly #matched = new Set<number>();
  #long: Long | undefined;
  /** Bytes read, each as often as it was: what bounds the time that a text takes. */
  steps = 0;

  constructor({ rules, automaton }: Rules, sink: Sink) {
    this.#rules = rules;
    this.#automaton = automaton;
    this.#generation = automaton.generation;
    this.#sink = sink;
  }

  /** Bytes that are held back. */
  get held(): number {
    return this.#text.byteLength - this.#out - this.#silent;
  }

  push(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#text = this.#text.byteLength === 0 ? bytes : joined(this.#text, bytes);
    this.#read();
    if (!this.#long) this.#passTo(this.#start);
    this.#keep(this.#out);
  }

  /** The text is over: all that is held is told. The next text begins as if it were the first. */
  end(): void {
    this.#read();
    while (this.#long) {
      this.#close(this.#long);
      this.#read();
    }
    if (this.#state >= IDLE) {
      this.#match(this.#state, this.#automaton.letters[END] ?? 0);
      this.#settle(this.#text.byteLength, 0);
    }
    this.#passTo(this.#text.byteLength);
    this.reset();
  }

  /** Forgets the text so far. `before` then stands before the next, and is neither told nor hidden itself. */
  reset(before: Uint8Array = NOTHING): void {
    this.#text = NOTHING;
    this.#out = this.#start = this.#at = this.#state = 0;
    this.#before = 0;
    this.#silent = before.byteLength;
    this.#matched.clear();
    this.#long = undefined;
    this.push(before);
  }

  #read(): void {
    if (this.#generation !== this.#automaton.generation) this.#again();
    while (this.#at < this.#text.byteLength) {
      if (this.#long) this.#goOn(this.#long);
      else this.#look();
    }
    if (!this.#long && this.#state < IDLE) this.#start = this.#at;
  }

  /** The automaton has forgotten its states for another text's sake: what is open is read once more. */
  #again(): void {
    this.#generation = this.#automaton.generation;
    if (!this.#long && this.#state >= IDLE) this.#restart(this.#start);
  }

  #restart(at: number): void {
    this.#matched.clear();
    this.#start = this.#at = at;
    this.#state = this.#sideAt(at);
  }

  #sideAt(at: number): Side {
    return at === 0 ? this.#before : sideOf(this.#text[at - 1] ?? 0);
  }

  /** Reads to the end, or until more is open than may be held. */
  #look(): void {
    const { letters, width } = this.#automaton;
    const text = this.#text;
    const end = text.byteLength;
    let { table } = this.#automaton;
    let state = this.#state;
    let start = this.#start;
    let at = this.#at;
    const from = at;
    while (at < end) {
      if (state < IDLE) start = at;
      const letter = letters[text[at] ?? 0] ?? 0;
      const next = table[state * width + letter] ?? -1;
      at += 1;
      if (next >= 0 && (next & 1) === 0) {
        state = next >> 1;
        // Most bytes are of nothing, or of what begins and was nothing.
        if (state >= IDLE ? at - start < HOLD_MAX : this.#matched.size === 0) continue;
      } else {
        state = this.#match(state, letter);
        // It may have been made anew, or longer.
        ({ table } = this.#automaton);
      }
      if (state < IDLE) {
        if (this.#matched.size === 0) continue;
        this.#start = start;
        this.#settle(at - 1, sideOf(text[at - 1] ?? 0));
      } else if (at - start >= HOLD_MAX) break;
    }
    this.steps += at - from;
    this.#state = state;
    this.#start = start;
    this.#at = at;
    if (state >= IDLE && at - start >= HOLD_MAX) this.#overflow();
  }

  /** The step the table does not have, or in which rules matched. */
  #match(state: number, letter: number): number {
    const { next, rules } = this.#automaton.step(state, letter);
    this.#generation = this.#automaton.generation;
    for (const rule of rules) this.#matched.add(rule);
    return next;
  }

  /** Nothing is open any more: what matched in `#start … end` is hidden. */
  #settle(end: number, after: Side): void {
    for (const span of this.#spans(end, after)) this.#hide(span);
    this.#matched.clear();
  }

  #spans(end: number, after: Side): Span[] {
    const start = this.#start;
    const text = this.#text.subarray(start, end);
    const spans = [...this.#matched].flatMap((number) => {
      const rule = this.#rules[number];
      if (!rule) return [];
      this.steps += text.byteLength;
      const { runs, open } = coverage(this.#automaton.program, number, text, this.#sideAt(start), after);
      return runs.flatMap((run) =>
        proven(rule, text.subarray(run.from, run.to)).map(({ from, to, severity }) => ({
          from: start + run.from + from,
          to: start + run.from + to,
          rule,
          severity: severity ?? rule.severity,
          open,
        })),
      );
    });
    return merged(spans);
  }

  /** More is open than may be held: what is older than the longest match is decided, as far as it has come. */
  #overflow(): void {
    const end = this.#at;
    const middle = this.#start + MATCH_MAX;
    for (const span of this.#spans(end, 2)) {
      if (span.from >= middle) break;
      if (span.to === end && span.open.length > 0) {
        this.#begin(span);
        return;
      }
      this.#hide(span);
    }
    this.#passTo(middle);
    this.#restart(middle);
  }

  #begin({ from, to, rule, severity, open }: Span): void {
    const start = Math.max(from, this.#out + this.#silent);
    this.#passTo(start);
    this.#sink.hide(rule);
    this.#matched.clear();
    this.#long = { rule, severity, at: open, length: 0, hash: createHash("sha256") };
    this.#swallow(this.#long, to);
  }

  #swallow(long: Long, to: number): void {
    const bytes = this.#text.subarray(this.#out, to);
    long.hash.update(bytes);
    long.length += bytes.byteLength;
    this.#sink.skip(bytes.byteLength);
    this.#out = to;
  }

  #goOn(long: Long): void {
    const { program } = this.#automaton;
    const text = this.#text;
    while (this.#at < text.byteLength) {
      const byte = text[this.#at] ?? 0;
      const outs = new Set<number>();
      reach(program, long.at, this.#sideAt(this.#at), sideOf(byte), (one) => {
        if (one.op === "byte" && one.set[byte] === 1) outs.add(one.out);
      });
      this.#at += 1;
      this.steps += 1;
      long.at = [...outs];
      let whole = false;
      reach(program, outs, sideOf(byte), 2, ({ op }) => {
        whole ||= op === "match";
      });
      if (whole) this.#swallow(long, this.#at);
      else if (outs.size === 0 || this.#at - this.#out > HOLD_MAX) {
        this.#close(long);
        return;
      }
    }
  }

  /** What was read of it beyond its last end is text like any other. */
  #close({ rule, severity, length, hash }: Long): void {
    this.#long = undefined;
    this.#sink.hid({ rule, severity, length, sha256: hash.digest("hex") });
    this.#restart(this.#out);
  }

  #hide({ from, to, rule, severity }: Span): void {
    const start = Math.max(from, this.#out + this.#silent);
    if (to <= start) return;
    this.#passTo(start);
    const bytes = this.#text.subarray(start, to);
    this.#out = to;
    this.#sink.hide(rule);
    this.#sink.skip(bytes.byteLength);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    this.#sink.hid({ rule, severity, length: bytes.byteLength, sha256 });
  }

  #passTo(to: number): void {
    if (to <= this.#out) return;
    const silent = Math.min(this.#silent, to - this.#out);
    this.#silent -= silent;
    const length = to - this.#out - silent;
    this.#out = to;
    if (length > 0) this.#sink.pass(length);
  }

  /** Drops what was told, but for what is still open; the chunk is its owner's, so that the rest is copied. */
  #keep(from: number): void {
    if (from > 0) this.#before = this.#sideAt(from);
    this.#text = from === this.#text.byteLength ? NOTHING : this.#text.slice(from);
    this.#out = 0;
    this.#start -= from;
    this.#at -= from;
  }
}

const proven = ({ prove }: Rule, candidate: Uint8Array) =>
  prove ? prove(candidate) : [{ from: 0, to: candidate.byteLength, severity: undefined }];

/** In order, none overlapping another: of those that did, the most severe names what they hide together. */
function merged(spans: readonly Span[]): Span[] {
  const found: Span[] = [];
  for (const span of spans.toSorted((a, b) => a.from - b.from || b.to - a.to)) {
    const last = found.at(-1);
    if (!last || span.from >= last.to) {
      found.push({ ...span });
      continue;
    }
    if (span.to > last.to) Object.assign(last, { to: span.to, open: span.open });
    if (RANK[span.severity] > RANK[last.severity])
      Object.assign(last, { rule: span.rule, severity: span.severity });
  }
  return found;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.byteLength + b.byteLength);
  whole.set(a);
  whole.set(b, a.byteLength);
  return whole;
}
