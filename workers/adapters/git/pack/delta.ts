/** Applies a delta (gitformat-pack(5), "Deltified representation") to its base, within a bound. */
import { Refusal } from "#durable/format/refusal.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Shorter runs are copied byte by byte: a call costs more than they do. */
const SHORT = 32;

/** A hostile delta can claim any size: `limit` is checked before anything is set aside. */
export function applyDelta(base: Bytes, delta: Bytes, limit: number): Bytes {
  const source = sizeAt(delta, 0);
  const target = sizeAt(delta, source.end);
  if (source.size !== base.byteLength) throw broken("its base has another size");
  if (target.size > limit)
    throw new Refusal("too_large", `The pack has an object stored as a delta that is over ${limit} bytes.`);
  const result = new Uint8Array(target.size);
  let size = 0;
  for (let at = target.end; at < delta.byteLength; ) {
    const op = delta[at++] ?? 0;
    if (op === 0) throw broken("it uses a reserved instruction");
    let from = delta;
    let offset = at;
    let length = op;
    if (op < 0x80) at += op;
    else {
      from = base;
      offset = 0;
      length = 0;
      for (let i = 0; i < 4; i++) if (op & (1 << i)) offset += byteAt(delta, at++) * 2 ** (8 * i);
      for (let i = 0; i < 3; i++) if (op & (16 << i)) length += byteAt(delta, at++) << (8 * i);
      if (length === 0) length = 0x10000;
    }
    if (offset + length > from.byteLength) throw broken("it reaches outside");
    if (size + length > target.size) throw broken("it makes too much");
    if (length > SHORT) result.set(from.subarray(offset, offset + length), size);
    else for (let i = 0; i < length; i++) result[size + i] = from[offset + i] ?? 0;
    size += length;
  }
  if (size !== target.size) throw broken("it makes too little");
  return result;
}

/** How large the object is that a delta makes, as the delta says. */
export const deltaTarget = (delta: Bytes): number => sizeAt(delta, sizeAt(delta, 0).end).size;

/**
 * Whether the object a delta makes could be a commit or a tag, when its base is not known: both begin with a fixed word.
 * False only when the delta itself writes another beginning.
 */
export function mayMakeCommit(delta: Bytes): boolean {
  const at = sizeAt(delta, sizeAt(delta, 0).end).end;
  const op = byteAt(delta, at);
  if (op === 0) throw broken("it uses a reserved instruction");
  if (op >= 0x80) return true;
  const text = String.fromCharCode(...delta.subarray(at + 1, at + 1 + Math.min(op, 7)));
  return ["tree ", "object "].some((word) => word.startsWith(text) || text.startsWith(word));
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
