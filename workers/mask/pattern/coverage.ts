/** Which bytes of a text belong to some match of one rule: found in two passes, whatever the rule is. */
import { type Instruction, type Program, reach, type Side, sideOf } from "./program.ts";

export type Run = { readonly from: number; readonly to: number };

type Take = Extract<Instruction, { op: "byte" }>;

/**
 * Runs of bytes in `text` that belong to matches of `rule`, less what only has to stand before them. A byte belongs to
 * one when something that begins before it takes it, and reaches an end from there. `open` is where the rule goes on
 * with what may follow the text. `before` and `after` say what stands around it.
 */
export function coverage(
  program: Program,
  rule: number,
  text: Uint8Array,
  before: Side,
  after: Side,
): { readonly runs: readonly Run[]; readonly open: readonly number[] } {
  const start = program.starts[rule] ?? 0;
  const sides = (at: number): [Side, Side] => [
    at === 0 ? before : sideOf(text[at - 1] ?? 0),
    at === text.byteLength ? after : sideOf(text[at] ?? 0),
  ];
  /** The instructions that took byte `at - 1`, for each `at`. */
  const took: ReadonlySet<Take>[] = [new Set()];
  for (let at = 0; at < text.byteLength; at++) {
    const takes = new Set<Take>();
    const byte = text[at] ?? 0;
    reach(program, [start, ...outs(took[at])], ...sides(at), (instruction) => {
      if (instruction.op === "byte" && instruction.set[byte] === 1) takes.add(instruction);
    });
    took.push(takes);
  }
  return { runs: runsOf(backward(program, took, sides)), open: [...outs(took[text.byteLength])] };
}

function* outs(takes: ReadonlySet<Take> | undefined): Generator<number> {
  for (const { out } of takes ?? []) yield out;
}

/** Marks each byte that was taken, inside, on a way that reaches an end. */
function backward(
  program: Program,
  took: readonly ReadonlySet<Take>[],
  sides: (at: number) => [Side, Side],
): Uint8Array {
  const covered = new Uint8Array(took.length - 1);
  /** Of the instructions that took the byte behind `at`, those that lead to an end. */
  let good: ReadonlySet<Instruction> = new Set();
  for (let at = covered.byteLength; at > 0; at--) {
    const takes = took[at] ?? new Set();
    const ends: number[] = [];
    const back = new Map<number, number[]>();
    reach(
      program,
      outs(takes),
      ...sides(at),
      (instruction, place) => {
        if (instruction.op === "match" || good.has(instruction)) ends.push(place);
      },
      (from, to) => {
        const known = back.get(to);
        if (known) known.push(from);
        else back.set(to, [from]);
      },
    );
    const leading = closure(ends, back);
    const leads = new Set<Take>();
    for (const take of takes) {
      if (!leading.has(take.out)) continue;
      leads.add(take);
      if (take.inside) covered[at - 1] = 1;
    }
    good = leads;
  }
  return covered;
}

/** The places from which one of `ends` is reached, by the ways `back`. */
function closure(ends: readonly number[], back: ReadonlyMap<number, readonly number[]>): ReadonlySet<number> {
  const found = new Set<number>();
  const todo = [...ends];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    if (found.has(at)) continue;
    found.add(at);
    todo.push(...(back.get(at) ?? []));
  }
  return found;
}

function runsOf(covered: Uint8Array): Run[] {
  const runs: { from: number; to: number }[] = [];
  for (let at = 0; at < covered.byteLength; at++) {
    if (covered[at] !== 1) continue;
    const last = runs.at(-1);
    if (last && last.to === at) last.to = at + 1;
    else runs.push({ from: at, to: at + 1 });
  }
  return runs;
}
