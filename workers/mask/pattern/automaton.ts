/**
 * All rules as one automaton over bytes, whose states are made when they are first met: a byte costs one look into a
 * table, however many rules there are. States are kept up to a bound and then made anew, so its memory is bounded too.
 */
import { type Program, reach, type Side, sideOf } from "./program.ts";

/** The byte after the last. */
export const END = 256;
/** States below this are those in which nothing has begun: one for each side. */
export const IDLE = 3;

const STATES_MAX = 16_384;

type State = { readonly at: readonly number[]; readonly side: Side };

export class Automaton {
  readonly program: Program;
  /** The letter of each byte, and of the end: bytes that no rule tells apart are one. */
  readonly letters: Uint8Array;
  readonly width: number;
  /** `state * width + letter` to twice the next state, plus one where rules matched before that letter; -1: not made yet. */
  table: Int32Array;
  /** How many states were ever made: what they have cost. */
  made = 0;
  /** How often all states were forgotten. */
  generation = 0;
  readonly #bytes: number[];
  #states: State[] = [];
  #numbers = new Map<string, number>();
  readonly #matches = new Map<number, readonly number[]>();
  /** What begins at a place between a side and a letter: the same at all states. */
  readonly #begins = new Map<
    number,
    { readonly outs: readonly number[]; readonly rules: readonly number[] }
  >();

  constructor(program: Program) {
    this.program = program;
    const { letters, bytes } = alphabet(program);
    this.letters = letters;
    this.#bytes = bytes;
    this.width = bytes.length;
    this.table = new Int32Array(0);
    this.#forget();
  }

  /**
   * From `state` by `letter`: the next state, and the rules that matched before the letter. Makes what is not there yet;
   * for that it may forget all states, which `generation` tells.
   */
  step(state: number, letter: number): { readonly next: number; readonly rules: readonly number[] } {
    const known = this.table[state * this.width + letter] ?? -1;
    if (known >= 0) return { next: known >> 1, rules: this.#matches.get(state * this.width + letter) ?? [] };
    const from = this.#states[state];
    if (!from) throw new Error("there is no such state");
    const { outs, side, rules } = this.#follow(from, letter);
    const room = this.#known(outs, side) !== undefined || this.#states.length < STATES_MAX;
    if (!room) this.#forget();
    const next = this.#known(outs, side) ?? this.#make({ at: outs, side });
    if (!room) return { next, rules };
    const place = state * this.width + letter;
    this.table[place] = next * 2 + (rules.length > 0 ? 1 : 0);
    if (rules.length > 0) this.#matches.set(place, rules);
    return { next, rules };
  }

  #follow({ at, side }: State, letter: number): { outs: number[]; side: Side; rules: readonly number[] } {
    const begin = this.#beginning(side, letter);
    const outs = new Set(begin.outs);
    const rules = new Set(begin.rules);
    this.#go(at, side, letter, outs, rules);
    const byte = this.#bytes[letter] ?? END;
    return {
      outs: [...outs].sort((a, b) => a - b),
      side: byte === END ? 0 : sideOf(byte),
      rules: [...rules],
    };
  }

  #beginning(side: Side, letter: number) {
    const key = side * this.width + letter;
    const known = this.#begins.get(key);
    if (known) return known;
    const outs = new Set<number>();
    const rules = new Set<number>();
    this.#go(this.program.starts, side, letter, outs, rules);
    const begin = { outs: [...outs], rules: [...rules] };
    this.#begins.set(key, begin);
    return begin;
  }

  #go(at: readonly number[], side: Side, letter: number, outs: Set<number>, rules: Set<number>): void {
    const byte = this.#bytes[letter] ?? END;
    reach(this.program, at, side, byte === END ? 0 : sideOf(byte), (instruction) => {
      if (instruction.op === "match") rules.add(instruction.rule);
      else if (instruction.op === "byte" && byte !== END && instruction.set[byte] === 1)
        outs.add(instruction.out);
    });
  }

  #known(at: readonly number[], side: Side): number | undefined {
    return at.length === 0 ? side : this.#numbers.get(`${side}:${at.join()}`);
  }

  #make(state: State): number {
    const number = this.#states.push(state) - 1;
    this.made += 1;
    if (state.at.length > 0) this.#numbers.set(`${state.side}:${state.at.join()}`, number);
    if ((number + 1) * this.width > this.table.length) {
      const grown = new Int32Array(Math.max(64, (number + 1) * 2) * this.width).fill(-1);
      grown.set(this.table);
      this.table = grown;
    }
    return number;
  }

  #forget(): void {
    this.generation += 1;
    this.#states = [];
    this.#numbers = new Map();
    this.#matches.clear();
    this.table.fill(-1);
    for (const side of [0, 1, 2] as const) this.#make({ at: [], side });
  }
}

/** Bytes with the same part in every set, and the same side, are one letter. */
function alphabet({ instructions }: Program): { readonly letters: Uint8Array; readonly bytes: number[] } {
  const sets = new Set(instructions.flatMap((one) => (one.op === "byte" ? [one.set] : [])));
  const keys: string[] = Array.from({ length: 256 }, (_, byte) => `${sideOf(byte)}`);
  const seen = new Set<string>();
  for (const set of sets) {
    const text = set.join("");
    if (seen.has(text)) continue;
    seen.add(text);
    for (let byte = 0; byte < 256; byte++) keys[byte] += set[byte] === 1 ? "1" : "0";
  }
  const letters = new Uint8Array(257);
  const bytes: number[] = [];
  const numbers = new Map<string, number>();
  for (const [byte, key] of keys.entries()) {
    const number = numbers.get(key) ?? bytes.push(byte) - 1;
    numbers.set(key, number);
    letters[byte] = number;
  }
  letters[END] = bytes.push(END) - 1;
  return { letters, bytes };
}
