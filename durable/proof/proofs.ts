/** Inclusion and consistency proofs: generators after RFC 6962 §2.1, verifiers after RFC 9162 §2.1.3.2 and §2.1.4.2. */
import { type Bytes, equal } from "./bytes.ts";
import { type Leaves, leafCount, nodeHash, type Range, rootOf } from "./merkle.ts";

/** The largest power of two smaller than n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** The hash over leaves [from, to) of the tree a proof is made in. */
export type Subtree = (from: number, to: number) => Bytes;

/** The audit path of leaf `index` in the tree over the first `size` leaves. */
export const inclusionProof = (leaves: Leaves, index: number, size = leafCount(leaves)): Bytes[] =>
  inclusionPath(index, size, (from, to) => rootOf(leaves, from, to));

export function inclusionPath(index: number, size: number, subtree: Subtree): Bytes[] {
  if (index < 0 || index >= size) throw new RangeError(`leaf ${index} is not in a tree of ${size}`);
  const path: Bytes[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const k = split(to - from);
    if (index - from < k) {
      path.push(subtree(from + k, to));
      to = from + k;
    } else {
      path.push(subtree(from, from + k));
      from += k;
    }
  }
  return path.reverse();
}

/** Proof that the tree over the first `first` leaves is a prefix of the one over `size`. Empty for 0 and for equal. */
export const consistencyProof = (leaves: Leaves, first: number, size = leafCount(leaves)): Bytes[] =>
  consistencyPath(first, size, (from, to) => rootOf(leaves, from, to));

/** The same from the tree as it was and the leaves that came since, `more`, which begins where `old` ends: O(log n) hashes. */
export const consistencyBetween = (old: Range, more: Range): Bytes[] =>
  consistencyPath(old.end, more.end, (from, to) => (to <= old.end ? old : more).subtree(from, to));

export function consistencyPath(first: number, size: number, subtree: Subtree): Bytes[] {
  if (first < 0 || first > size) throw new RangeError(`a tree of ${first} is not a prefix of one of ${size}`);
  if (first === 0 || first === size) return [];
  const path: Bytes[] = [];
  let [from, to] = [0, size];
  // RFC 6962 §2.1.2: `whole` while the old tree's own root, which the verifier has, is still in sight.
  let whole = true;
  while (first !== to) {
    const k = split(to - from);
    if (first - from <= k) {
      path.push(subtree(from + k, to));
      to = from + k;
    } else {
      path.push(subtree(from, from + k));
      from += k;
      whole = false;
    }
  }
  if (!whole) path.push(subtree(from, to));
  return path.reverse();
}

const odd = (n: number): boolean => n % 2 === 1;
const half = (n: number): number => Math.floor(n / 2);

export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  root: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (index < 0 || index >= size) return false;
  let [fn, sn, node] = [index, size - 1, leaf];
  for (const step of proof) {
    if (sn === 0) return false;
    if (odd(fn) || fn === sn) {
      node = nodeHash(step, node);
      while (!odd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      node = nodeHash(node, step);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equal(node, root);
}

/** A tree of no leaves is a prefix of every tree, proved by nothing. */
export function verifyConsistency(
  first: number,
  size: number,
  firstRoot: Uint8Array,
  root: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (first < 0 || first > size) return false;
  if (first === size) return proof.length === 0 && equal(firstRoot, root);
  if (first === 0) return proof.length === 0;
  // An exact power of two: the old root is a node of the new tree, and is left out of the proof.
  const path = first === 2 ** Math.floor(Math.log2(first)) ? [firstRoot, ...proof] : proof;
  const [seed, ...steps] = path;
  if (!seed) return false;
  let [fn, sn] = [first - 1, size - 1];
  while (odd(fn)) [fn, sn] = [half(fn), half(sn)];
  let [old, whole] = [seed, seed];
  for (const step of steps) {
    if (sn === 0) return false;
    if (odd(fn) || fn === sn) {
      old = nodeHash(step, old);
      whole = nodeHash(step, whole);
      while (!odd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      whole = nodeHash(whole, step);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equal(old, firstRoot) && equal(whole, root);
}
