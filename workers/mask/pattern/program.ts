/** Patterns as one program: instructions that take a byte, branch, test where they are, or say that a rule has matched. */
import { type Assertion, type ByteSet, isWordByte, type Node, PatternError } from "./parse.ts";

export type Instruction =
  /** `inside`: the byte belongs to what was looked for, and not to what must stand before it. */
  | { readonly op: "byte"; readonly set: ByteSet; readonly out: number; readonly inside: boolean }
  | { readonly op: "branch"; readonly outs: readonly number[] }
  | { readonly op: "assert"; readonly at: Assertion; readonly out: number }
  | { readonly op: "match"; readonly rule: number };

export type Program = {
  readonly instructions: readonly Instruction[];
  /** Where each rule begins, by its index. */
  readonly starts: readonly number[];
  /** For `reach`: the walk that saw an instruction last. */
  readonly seen: Uint32Array;
};

/** What is matched, and what must stand around it, if anything. */
export type Shape = { readonly before?: Node; readonly match: Node; readonly after?: Node };

/** Instructions of one pattern: what `{n,m}` in each other would make is refused. */
const PATTERN_MAX = 2_000;
/** Of all rules together, dictionaries included. */
const PROGRAM_MAX = 1_000_000;

/** What is longer than this before it can end is not found: so much is held back at most, twice. */
export const MATCH_MAX = 1_024;

export function compile(shapes: readonly Shape[], limit = PROGRAM_MAX): Program {
  const instructions: Instruction[] = [];
  const starts = shapes.map(({ before, match, after }, rule) => {
    const around = { instructions, inside: false, limit };
    const end = push(instructions, { op: "match", rule }, limit);
    const behind = after ? emit(after, end, around) : end;
    const inside = emit(match, behind, { ...around, inside: true });
    return before ? emit(before, inside, around) : inside;
  });
  return { instructions, starts, seen: new Uint32Array(instructions.length) };
}

/** Refuses a pattern that matches nothing, and with it everywhere, and one that is longer than what can be held. */
export function check(match: Node): void {
  if (shortest(match) === 0) throw new PatternError("matches the empty text, which is everywhere");
  const most = longest(match);
  const length = most === Number.POSITIVE_INFINITY ? shortest(match) : most;
  if (length > MATCH_MAX)
    throw new PatternError(`may take ${length} bytes, more than the ${MATCH_MAX} that are held back`);
  compile([{ match }], PATTERN_MAX);
}

type Around = { readonly instructions: Instruction[]; readonly inside: boolean; readonly limit: number };

function push(instructions: Instruction[], instruction: Instruction, limit: number): number {
  if (instructions.length >= limit) throw new PatternError("repeats too much within repetitions");
  return instructions.push(instruction) - 1;
}

/** Emits `node` so that it goes on at `out`; returns where it begins. */
function emit(node: Node, out: number, around: Around): number {
  const { instructions, inside, limit } = around;
  switch (node.kind) {
    case "bytes":
      return push(instructions, { op: "byte", set: node.set, out, inside }, limit);
    case "assert":
      return push(instructions, { op: "assert", at: node.at, out }, limit);
    case "seq":
      return node.parts.reduceRight((next, part) => emit(part, next, around), out);
    case "alt":
      return push(
        instructions,
        { op: "branch", outs: node.parts.map((part) => emit(part, out, around)) },
        limit,
      );
    case "repeat":
      return repeat(node, out, around);
  }
}

function repeat({ part, min, max }: Extract<Node, { kind: "repeat" }>, out: number, around: Around): number {
  const { instructions, limit } = around;
  let next = out;
  if (max === Number.POSITIVE_INFINITY) {
    const outs: number[] = [];
    next = push(instructions, { op: "branch", outs }, limit);
    outs.push(emit(part, next, around), out);
  } else {
    for (let i = min; i < max; i++)
      next = push(instructions, { op: "branch", outs: [emit(part, next, around), out] }, limit);
  }
  for (let i = 0; i < min; i++) next = emit(part, next, around);
  return next;
}

const sum = (parts: readonly number[]) => parts.reduce((total, part) => total + part, 0);

function shortest(node: Node): number {
  switch (node.kind) {
    case "bytes":
      return 1;
    case "assert":
      return 0;
    case "seq":
      return sum(node.parts.map(shortest));
    case "alt":
      return Math.min(...node.parts.map(shortest));
    case "repeat":
      return node.min === 0 ? 0 : shortest(node.part) * node.min;
  }
}

function longest(node: Node): number {
  switch (node.kind) {
    case "bytes":
      return 1;
    case "assert":
      return 0;
    case "seq":
      return sum(node.parts.map(longest));
    case "alt":
      return Math.max(...node.parts.map(longest));
    case "repeat":
      return node.max === 0 || longest(node.part) === 0 ? 0 : longest(node.part) * node.max;
  }
}

/** What stands at one side of a place: the text's end or a line's, part of a word, or anything else. */
export type Side = 0 | 1 | 2;

export const sideOf = (byte: number): Side => (byte === 10 ? 0 : isWordByte(byte) ? 1 : 2);

let walks = 0;

/**
 * All instructions, other than branches and tests, that are reached from `roots` without taking a byte, at a place between
 * `before` and `after`. `step` is told each way that was gone on it, from one instruction to the next.
 */
export function reach(
  { instructions, seen }: Program,
  roots: Iterable<number>,
  before: Side,
  after: Side,
  see: (instruction: Instruction, at: number) => void,
  step?: (from: number, to: number) => void,
): void {
  walks = walks === 0xffff_ffff ? 1 : walks + 1;
  const walk = walks;
  const todo = [...roots];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    const instruction = instructions[at];
    if (!instruction || seen[at] === walk) continue;
    seen[at] = walk;
    if (instruction.op === "byte" || instruction.op === "match") {
      see(instruction, at);
      continue;
    }
    const outs = instruction.op === "branch" ? instruction.outs : [instruction.out];
    if (instruction.op === "assert" && !holds(instruction.at, before, after)) continue;
    for (const out of outs) {
      todo.push(out);
      step?.(at, out);
    }
  }
}

function holds(at: Assertion, before: Side, after: Side): boolean {
  switch (at) {
    case "word":
      return (before === 1) !== (after === 1);
    case "not-word":
      return (before === 1) === (after === 1);
    case "line-start":
      return before === 0;
    case "line-end":
      return after === 0;
  }
}
