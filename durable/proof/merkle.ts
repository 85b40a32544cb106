/** RFC 6962 §2.1 hashes over SHA-256, and compact ranges: the O(log n) state of a tree, or of a stretch of its leaves. */
import { type Bytes, concat, fromBase64, sha256, toBase64 } from "./bytes.ts";

const LEAF = new Uint8Array([0]);
/** A node's preimage: 0x01, left, right. Filled anew for each. */
const NODE = new Uint8Array(65);
NODE[0] = 1;

/** Of a frame: `line` is its bytes without the LF. */
export const leafHash = (line: Uint8Array): Bytes => sha256(concat([LEAF, line]));

export function nodeHash(left: Uint8Array, right: Uint8Array): Bytes {
  NODE.set(left, 1);
  NODE.set(right, 33);
  return sha256(NODE);
}

/** The root of no leaves: SHA-256(""). */
export const emptyRoot = (): Bytes => sha256(new Uint8Array());

/** Sizes of the maximal aligned perfect subtrees that cover leaves [start, start + size), left to right. */
export function subtreeSizes(start: number, size: number): number[] {
  const sizes: number[] = [];
  const end = start + size;
  for (let at = start; at < end; ) {
    let step = 1;
    while (at % (2 * step) === 0 && at + 2 * step <= end) step *= 2;
    sizes.push(step);
    at += step;
  }
  return sizes;
}

/** The canonical compact range over leaves [start, end): roots of its maximal aligned perfect subtrees. */
export class Range {
  readonly start: number;
  #end: number;
  readonly #sizes: number[] = [];
  readonly #hashes: Uint8Array[] = [];

  constructor(start = 0) {
    this.start = start;
    this.#end = start;
  }

  /** What `serialise` gave. Throws RangeError when the number of hashes does not fit start and size. */
  static restore(start: number, size: number, hashes: readonly string[]): Range {
    const range = new Range(start);
    const sizes = subtreeSizes(start, size);
    if (sizes.length !== hashes.length)
      throw new RangeError(
        `a range of ${size} leaves from ${start} has ${sizes.length} hashes, not ${hashes.length}`,
      );
    sizes.forEach((step, i) => {
      const hash = fromBase64(hashes[i] ?? "");
      if (hash?.byteLength !== 32) throw new RangeError(`hash ${i} of a range is not a base64 SHA-256`);
      range.#sizes.push(step);
      range.#hashes.push(hash);
    });
    range.#end = start + size;
    return range;
  }

  get end(): number {
    return this.#end;
  }

  get size(): number {
    return this.#end - this.start;
  }

  /** Adds the next leaf. `leaf` is kept, and must not change. */
  push(leaf: Uint8Array): this {
    this.#add(1, leaf);
    return this;
  }

  /** Adds the leaves of `next`, which must begin where this ends. */
  append(next: Range): this {
    if (next.start !== this.#end)
      throw new RangeError(`a range from leaf ${next.start} does not follow one that ends at ${this.#end}`);
    next.#sizes.forEach((step, i) => {
      const hash = next.#hashes[i];
      if (hash) this.#add(step, hash);
    });
    return this;
  }

  copy(): Range {
    return new Range(this.start).append(this);
  }

  /** The Merkle tree hash of all leaves. Only a range that starts at leaf 0 is a tree. */
  root(): Bytes {
    if (this.start !== 0) throw new RangeError(`a range from leaf ${this.start} has no root`);
    return this.#hashes.length === 0 ? emptyRoot() : foldRight(this.#hashes);
  }

  /** The hash over leaves [from, to), which must be whole subtrees of this range. Throws RangeError when they are not. */
  subtree(from: number, to: number): Bytes {
    const within: Uint8Array[] = [];
    let at = this.start;
    this.#sizes.forEach((size, i) => {
      const hash = this.#hashes[i];
      if (hash && at >= from && at + size <= to) within.push(hash);
      else if (at < to && at + size > from)
        throw new RangeError(`leaves ${from} to ${to} are not whole subtrees of the range`);
      at += size;
    });
    if (from < this.start || to > this.#end || within.length === 0)
      throw new RangeError(`leaves ${from} to ${to} are not in a range of ${this.start} to ${this.#end}`);
    return foldRight(within);
  }

  serialise(): string[] {
    return this.#hashes.map(toBase64);
  }

  #add(size: number, hash: Uint8Array): void {
    let step = size;
    let node = hash;
    for (let left = this.#end; ; ) {
      const top = this.#sizes.at(-1);
      if (top !== step || (left - step) % (2 * step) !== 0) break;
      this.#sizes.pop();
      node = nodeHash(this.#hashes.pop() ?? node, node);
      left -= step;
      step *= 2;
    }
    this.#sizes.push(step);
    this.#hashes.push(node);
    this.#end += size;
  }
}

/** Leaves as an array of hashes, or as one array of concatenated 32-byte hashes. */
export type Leaves = readonly Uint8Array[] | Uint8Array;

export const leafCount = (leaves: Leaves): number =>
  leaves instanceof Uint8Array ? Math.floor(leaves.byteLength / 32) : leaves.length;

export function leafAt(leaves: Leaves, index: number): Uint8Array {
  const leaf = leaves instanceof Uint8Array ? leaves.subarray(index * 32, index * 32 + 32) : leaves[index];
  if (leaf?.byteLength !== 32) throw new RangeError(`there is no leaf ${index}`);
  return leaf;
}

/** The compact range over leaves [from, to) of a tree. */
export function rangeOf(leaves: Leaves, from = 0, to = leafCount(leaves)): Range {
  const range = new Range(from);
  for (let i = from; i < to; i++) range.push(leafAt(leaves, i));
  return range;
}

/** The compact range over leaves of which the first is leaf `start` of a tree. */
export function rangeFrom(start: number, leaves: Leaves): Range {
  const range = new Range(start);
  for (let i = 0; i < leafCount(leaves); i++) range.push(leafAt(leaves, i));
  return range;
}

/** Joins ranges that follow each other. Throws RangeError when they do not. */
export function mergeRanges(ranges: readonly Range[]): Range {
  const merged = new Range(ranges[0]?.start ?? 0);
  for (const range of ranges) merged.append(range);
  return merged;
}

/** The Merkle tree hash over leaves [from, to), as if they were a tree of their own. */
export function rootOf(leaves: Leaves, from = 0, to = leafCount(leaves)): Bytes {
  const range = new Range();
  for (let i = from; i < to; i++) range.push(leafAt(leaves, i));
  return range.root();
}

function foldRight(hashes: readonly Uint8Array[]): Bytes {
  let root: Uint8Array | undefined;
  for (let i = hashes.length - 1; i >= 0; i--) {
    const hash = hashes[i];
    if (hash) root = root ? nodeHash(hash, root) : hash;
  }
  return root ? new Uint8Array(root) : emptyRoot();
}
