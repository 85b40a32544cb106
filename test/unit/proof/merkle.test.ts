import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { equal, fromHex, sha256, toHex, utf8 } from "#durable/proof/bytes.ts";
import {
  emptyRoot,
  leafHash,
  mergeRanges,
  nodeHash,
  Range,
  rangeFrom,
  rangeOf,
  rootOf,
  subtreeSizes,
} from "#durable/proof/merkle.ts";
import {
  consistencyBetween,
  consistencyProof,
  inclusionProof,
  verifyConsistency,
  verifyInclusion,
} from "#durable/proof/proofs.ts";
import golden from "../../vectors/golden.json" with { type: "json" };
import rfc6962 from "../../vectors/rfc6962.json" with { type: "json" };

const leaves = (n: number, seed = 0): Uint8Array[] =>
  Array.from({ length: n }, (_, i) => leafHash(utf8(`${seed}:${i}`)));

/** RFC 6962 §2.1 word by word, as an oracle for what is written without recursion. */
function reference(hashes: readonly Uint8Array[]): Uint8Array {
  const [only] = hashes;
  if (!only) return sha256();
  if (hashes.length === 1) return only;
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return nodeHash(reference(hashes.slice(0, k)), reference(hashes.slice(k)));
}

describe("hashes", () => {
  test("leaves and roots are those of the Certificate Transparency reference", () => {
    const hashes = rfc6962.leaves.map((hex) => leafHash(fromHex(hex) ?? new Uint8Array()));
    expect(hashes.map((_, i) => toHex(rootOf(hashes, 0, i + 1)))).toEqual(rfc6962.roots);
    expect(toHex(emptyRoot())).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test("the golden session has its leaves and its root", () => {
    const hashes = golden.frames.map((line) => leafHash(utf8(line)));
    expect(hashes.map(toHex)).toEqual(golden.leafHashes);
    expect(toHex(rootOf(hashes))).toBe(golden.sessionRoot);
    expect(toHex(leafHash(utf8(golden.entryBody)))).toBe(golden.entryLeaf);
  });
});

describe("ranges", () => {
  test("a tree grown leaf by leaf has the root the RFC defines, at every size", () => {
    const hashes = leaves(130);
    const range = new Range();
    hashes.forEach((leaf, i) => {
      range.push(leaf);
      expect(equal(range.root(), reference(hashes.slice(0, i + 1)))).toBe(true);
    });
  });

  test("any cutting of the leaves into segments merges to the root of the whole", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.array(fc.nat(400), { maxLength: 8 }), (n, marks) => {
        const hashes = leaves(n);
        const cuts = [0, ...marks.map((mark) => mark % (n + 1)).sort((a, b) => a - b), n];
        const ranges = cuts.slice(1).map((to, i) => rangeOf(hashes, cuts[i] ?? 0, to));
        const stored = ranges.map((range) => Range.restore(range.start, range.size, range.serialise()));
        return equal(mergeRanges(stored).root(), reference(hashes));
      }),
      { numRuns: 200 },
    );
  });

  test("a range that was stored goes on as if nothing had happened", () => {
    fc.assert(
      fc.property(fc.nat(300), fc.nat(300), fc.nat(100), (start, size, more) => {
        const hashes = leaves(start + size + more);
        const whole = rangeOf(hashes, start, start + size + more);
        const restored = Range.restore(start, size, rangeOf(hashes, start, start + size).serialise());
        for (let i = start + size; i < hashes.length; i++) restored.push(hashes[i] ?? new Uint8Array());
        return restored.size === size + more && restored.serialise().join() === whole.serialise().join();
      }),
      { numRuns: 100 },
    );
  });

  test("a range holds at most two hashes for each doubling of its size", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000_000), fc.integer({ min: 1, max: 1_000_000_000 }), (start, size) => {
        const sizes = subtreeSizes(start, size);
        return sizes.length <= 2 * Math.ceil(Math.log2(size + 1)) && sizes.reduce((a, b) => a + b) === size;
      }),
    );
  });

  test("what does not fit together is refused", () => {
    const hashes = leaves(8);
    expect(() => rangeOf(hashes, 0, 3).append(rangeOf(hashes, 4, 8))).toThrow(RangeError);
    expect(() => Range.restore(0, 3, rangeOf(hashes, 0, 4).serialise())).toThrow(RangeError);
    expect(() => Range.restore(0, 1, ["AAAA"])).toThrow(RangeError);
    expect(() => rangeOf(hashes, 4, 8).root()).toThrow(RangeError);
  });

  test("appending to a copy leaves the original alone", () => {
    const range = rangeOf(leaves(5));
    const before = range.serialise();
    range.copy().push(leafHash(utf8("x")));
    expect(range.serialise()).toEqual(before);
  });
});

describe("proofs", () => {
  test("every leaf of every tree up to 40 leaves proves its place, and no other", () => {
    for (let n = 1; n <= 40; n++) {
      const hashes = leaves(n);
      const root = reference(hashes);
      for (let i = 0; i < n; i++) {
        const proof = inclusionProof(hashes, i);
        const leaf = hashes[i] ?? new Uint8Array();
        expect(verifyInclusion(leaf, i, n, root, proof)).toBe(true);
        expect(verifyInclusion(leaf, (i + 1) % n, n, root, proof)).toBe(n === 1);
        expect(verifyInclusion(leafHash(leaf), i, n, root, proof)).toBe(false);
      }
    }
  });

  test("every tree proves that each of its prefixes is one, and nothing else is", () => {
    for (let n = 1; n <= 40; n++) {
      const hashes = leaves(n);
      const root = reference(hashes);
      for (let m = 0; m <= n; m++) {
        const proof = consistencyProof(hashes, m);
        const old = reference(hashes.slice(0, m));
        expect(verifyConsistency(m, n, old, root, proof)).toBe(true);
        const other = leafHash(old);
        if (m > 0) expect(verifyConsistency(m, n, other, root, proof)).toBe(false);
        if (m > 0 && m < n) expect(verifyConsistency(m, n, old, other, proof)).toBe(false);
      }
    }
  });

  test("the tree as it was and the leaves since give the proof and the root that all leaves give", () => {
    for (let n = 0; n <= 40; n++)
      for (let m = 0; m <= n; m++) {
        const hashes = leaves(n);
        const [old, more] = [rangeOf(hashes, 0, m), rangeOf(hashes, m, n)];
        expect(consistencyBetween(old, more).map(toHex)).toEqual(consistencyProof(hashes, m).map(toHex));
        expect(toHex(old.copy().append(more).root())).toBe(toHex(rootOf(hashes)));
      }
    const growing = fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(growing, (steps) => {
        const hashes = leaves(steps.reduce((sum, step) => sum + step, 0));
        let tree = new Range();
        for (const step of steps) {
          const more = rangeFrom(tree.end, hashes.slice(tree.end, tree.end + step));
          const proof = consistencyBetween(tree, more);
          const next = Range.restore(0, more.end, tree.copy().append(more).serialise());
          if (!verifyConsistency(tree.end, next.end, tree.root(), next.root(), proof)) return false;
          tree = next;
        }
        return equal(tree.root(), rootOf(hashes));
      }),
      { numRuns: 50 },
    );
  });

  test("a range gives the hash of its own whole subtrees only", () => {
    const hashes = leaves(13);
    const range = rangeOf(hashes, 4, 13);
    expect(toHex(range.subtree(8, 13))).toBe(toHex(rootOf(hashes, 8, 13)));
    for (const [from, to] of [
      [4, 6],
      [5, 8],
      [0, 8],
      [12, 14],
      [8, 8],
    ] as const)
      expect(() => range.subtree(from, to)).toThrow(RangeError);
  });

  test("a flipped bit anywhere in a proof breaks it, and so does a step more or less", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 300 }), fc.nat(), fc.nat(), (n, at, bit) => {
        const hashes = leaves(n);
        const root = rootOf(hashes);
        const index = at % n;
        const leaf = hashes[index] ?? new Uint8Array();
        const proof = inclusionProof(hashes, index);
        const bent = proof.map((step) => step.slice());
        const step = bent[bit % bent.length];
        if (step) step[bit % 32] = (step[bit % 32] ?? 0) ^ (1 << (bit % 8));
        return (
          verifyInclusion(leaf, index, n, root, proof) &&
          !verifyInclusion(leaf, index, n, root, bent) &&
          !verifyInclusion(leaf, index, n, root, proof.slice(1)) &&
          !verifyInclusion(leaf, index, n, root, [...proof, leaf])
        );
      }),
      { numRuns: 100 },
    );
  });

  test("concatenated leaves give the same proofs as an array of them, also for a tree of 100000", () => {
    const n = 100_000;
    const flat = new Uint8Array(n * 32);
    for (let i = 0; i < n; i++) new DataView(flat.buffer).setUint32(i * 32, i);
    const root = rootOf(flat);
    const old = rootOf(flat, 0, 65_537);
    expect(
      verifyInclusion(flat.subarray(77_777 * 32, 77_778 * 32), 77_777, n, root, inclusionProof(flat, 77_777)),
    ).toBe(true);
    expect(verifyConsistency(65_537, n, old, root, consistencyProof(flat, 65_537))).toBe(true);
  });

  test("a proof is not made for what is not there", () => {
    expect(() => inclusionProof(leaves(3), 3)).toThrow(RangeError);
    expect(() => consistencyProof(leaves(3), 4)).toThrow(RangeError);
    expect(verifyInclusion(emptyRoot(), 0, 0, emptyRoot(), [])).toBe(false);
    expect(verifyConsistency(2, 1, emptyRoot(), emptyRoot(), [])).toBe(false);
  });
});
