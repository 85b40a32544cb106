/** Applies a delta (gitformat-pack(5), "Deltified representation") to its base, within a bound. */
import { Refusal } from "#durable/format/refusal.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A hostile delta can claim any size: `limit` is checked before anything is set aside. */
export function applyDelta(base: Bytes, delta: Bytes, limit: number): Bytes {
  const source = sizeAt(delta, 0);
  const target = sizeAt(delta, source.end);
  if (source.size !== base.byteLength) throw broken("its base has another size");
  if (target.size > limit) throw new Refusal("too_large", "The pack has a commit or tag that is too large.");
  const result = new Uint8Array(target.size);
  let size = 0;
  for (let at = target.end; at < delta.byteLength; ) {
    const step = instructionAt(delta, at);
    const from = step.kind === "copy" ? base : delta;
    if (step.length === 0 || step.offset + step.length > from.byteLength) throw broken("it reaches outside");
    if (size + step.length > target.size) throw broken("it makes too much");
    result.set(from.subarray(step.offset, step.offset + step.length), size);
    size += step.length;
    at = step.end;
  }
  if (size !== target.size) throw broken("it makes too little");
  return result;
}

/**
 * Whether the object a delta makes could be a commit or a tag, when its base is not known: both begin with a fixed word.
 * False only when the delta itself writes another beginning.
 */
export function mayMakeCommit(delta: Bytes): boolean {
  const first = instructionAt(delta, sizeAt(delta, sizeAt(delta, 0).end).end);
  if (first.kind === "copy") return true;
  const text = String.fromCharCode(...delta.subarray(first.offset, first.offset + Math.min(first.length, 7)));
  return ["tree ", "object "].some((word) => word.startsWith(text) || text.startsWith(word));
}

type Instruction = {
  readonly kind: "copy" | "insert";
  readonly offset: number;
  readonly length: number;
  readonly end: number;
};

function instructionAt(delta: Bytes, at: number): Instruction {
  const op = byteAt(delta, at);
  if (op === 0) throw broken("it uses a reserved instruction");
  if (op < 0x80) return { kind: "insert", offset: at + 1, length: op, end: at + 1 + op };
  let end = at + 1;
  const number = (bits: number, shift: number): number => {
    let value = 0;
    for (let i = 0; i < bits; i++) if (op & (1 << (shift + i))) value += byteAt(delta, end++) * 2 ** (8 * i);
    return value;
  };
  const offset = number(4, 0);
  const length = number(3, 4);
  return { kind: "copy", offset, length: length === 0 ? 0x10000 : length, end };
}

function sizeAt(delta: Bytes, start: number): { readonly size: number; readonly end: number } {
  let size = 0;
  for (let at = start, unit = 1; ; at++, unit *= 128) {
    const byte = byteAt(delta, at);
    size += (byte & 0x7f) * unit;
    if (size > Number.MAX_SAFE_INTEGER) throw broken("its sizes are absurd");
    if (byte < 0x80) return { size, end: at + 1 };
  }
}

function byteAt(delta: Bytes, at: number): number {
  const byte = delta[at];
  if (byte === undefined) throw broken("it is cut off");
  return byte;
}

const broken = (why: string) =>
  new Refusal("malformed", `The pack has a delta that cannot be applied: ${why}.`);
