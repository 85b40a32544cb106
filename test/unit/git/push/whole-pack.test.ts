import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { readWholePack } from "#workers/adapters/git/pack/whole-pack.ts";
import { git, gitBytes, makeWorkspace, type Workspace } from "../repository.ts";
import { commitEntry, entry, packed, TREE } from "../wire.ts";
import { type Format, imported, packOf } from "./histories.ts";
import { readAll, sourceOf } from "./packs.ts";

type Bytes = Uint8Array<ArrayBuffer>;

let workspace: Workspace;
beforeAll(() => {
  workspace = makeWorkspace();
});
afterAll(() => workspace.remove());

/** `id kind size` of every object of the history, as git has them. */
async function listed(path: string): Promise<string[]> {
  const ids = await git(workspace, path, "rev-list", "--objects", "--all", "--no-object-names");
  const format = "--batch-check=%(objectname) %(objecttype) %(objectsize)";
  const shown = await gitBytes(workspace, path, ["cat-file", format], `${ids}\n`);
  return shown.toString().trim().split("\n").sort();
}

const lines = (objects: readonly { id: string; kind: string; size: number }[]): string[] =>
  objects.map(({ id, kind, size }) => `${id} ${kind} ${size}`).sort();

const seeds: readonly (readonly [number, Format, number, boolean])[] = [
  [1, "sha1", 4096, true],
  [2, "sha1", 97, true],
  [3, "sha1", 1 << 20, false],
  [4, "sha256", 4096, true],
  [5, "sha256", 500, false],
  [6, "sha1", 7, false],
];

test.each(seeds)(
  "every object of history %i in %s, in pieces of %i bytes, is what git says it is (deltas by offset: %s)",
  async (seed, format, piece, byOffset) => {
    const path = await imported(workspace, seed, 40, format);
    const pack = await packOf(workspace, path, "", "--all", ...(byOffset ? ["--delta-base-offset"] : []));
    const { objects, looks } = await readAll(pack, { format, piece });
    expect(lines(objects)).toEqual(await listed(path));
    expect(looks).toBe(0);
  },
);

test("with next to nothing held, deltas are settled from bytes that are read again, and are the same", async () => {
  const path = await imported(workspace, 7, 60);
  const pack = await packOf(workspace, path, "", "--all", "--delta-base-offset");
  const { objects, looks } = await readAll(pack, { recent: 200, history: 200 });
  expect(lines(objects)).toEqual(await listed(path));
  expect(looks).toBeGreaterThan(20);
});

test("any object is made again by its id, from a whole pack and from one of which nothing is held", async () => {
  const path = await imported(workspace, 8, 30);
  const pack = await packOf(workspace, path, "", "--all", "--delta-base-offset");
  const all = (await readAll(pack)).objects;
  for (const recent of [0, 1 << 20]) {
    const read = await readWholePack(sourceOf(pack, 4096), "sha1", () => undefined, {
      ...(await import("#workers/adapters/git/pack/whole-pack.ts")).BOUNDS,
      recent,
      history: recent,
    });
    for (const { id, kind, content } of all) {
      expect(await read.object(id)).toEqual({ kind, content });
      expect(read.find(id)).toEqual({ kind, size: content?.byteLength });
    }
    expect(await read.object("0".repeat(40))).toBeUndefined();
    expect(await read.object("none")).toBeUndefined();
  }
});

test("a blob that is not held is hashed as it passes, and may be the base of nothing", async () => {
  const large = new Uint8Array(3_000_000).map((_, i) => (i * 7) ^ (i >> 9));
  const pack = packed([entry(3, large), commitEntry("after\n")]);
  const { objects } = await readAll(pack, { small: 1000, piece: 10_000 });
  const id = createHash("sha1").update("blob 3000000\0").update(large).digest("hex");
  expect(objects[0]).toMatchObject({ kind: "blob", id, size: 3_000_000 });
  expect(objects[0]?.content).toBeUndefined();
  expect(objects).toHaveLength(2);
});

const text = (words: string): Uint8Array => Buffer.from(words);
const idOf = (kind: string, content: Uint8Array): Buffer =>
  createHash("sha1").update(`${kind} ${content.byteLength}\0`).update(content).digest();
/** A delta that copies all of a base of up to 255 bytes and adds one letter. */
const adding = (base: number, letter: string): Uint8Array =>
  Uint8Array.of(base, base + 1, 0x90, base, 1, letter.charCodeAt(0));

test("deltas by id are followed to bases that come later, and chains of them are", async () => {
  const [a, ab, abc] = ["a", "ab", "abc"].map(text) as [Uint8Array, Uint8Array, Uint8Array];
  const pack = packed([
    entry(7, adding(2, "c"), 6, idOf("blob", ab)),
    entry(7, adding(1, "b"), 6, idOf("blob", a)),
    entry(3, a),
  ]);
  const { objects } = await readAll(pack);
  expect(objects.map(({ id }) => id)).toEqual([a, ab, abc].map((each) => idOf("blob", each).toString("hex")));
});

const commit = commitEntry("one\n");
const copyAll = Uint8Array.of(0x69, 0x69, 0x90, 0x69);
const junk = (length: number): Uint8Array =>
  Buffer.concat([Uint8Array.of(0x31), new Uint8Array(length).fill(0x78)]);
/** zlib data of one letter that goes on and on in empty stored blocks. */
const endless = Buffer.concat([
  Uint8Array.of(0x31, 0x78, 0x01),
  Buffer.concat(Array.from({ length: 4000 }, () => Uint8Array.of(0, 0, 0, 0xff, 0xff))),
]);

const malformed: Record<string, readonly [Bytes, RegExp]> = {
  "that is empty": [new Uint8Array(0), /cut off/],
  "that ends in its head": [packed([]).subarray(0, 9), /cut off/],
  "of version 9": [packed([commit], 1, 9), /version/],
  "with an object of type 0": [packed([entry(0, text("x"))]), /type is unknown/],
  "with an object of type 5": [packed([entry(5, text("x"))]), /type is unknown/],
  "with fewer objects than it says": [packed([commit], 2), /fewer objects than it says/],
  "with more objects than it says": [packed([commit, commit], 1), /follows its last object/],
  "with bytes behind its checksum": [Buffer.concat([packed([commit]), text("x")]), /follows its last object/],
  "without its checksum": [packed([commit]).subarray(0, -20), /cut off/],
  "with half a checksum": [packed([commit]).subarray(0, -7), /cut off/],
  "with a wrong checksum": [packed([commit]).fill(0, -1), /checksum/],
  "with an object longer than it says": [packed([entry(3, text("longer"), 3)]), /size/],
  "with an object shorter than it says": [packed([entry(3, text("short"), 50)]), /size|cut off/],
  "with a large blob longer than it says": [packed([entry(3, new Uint8Array(5000), 2000)]), /size/],
  "with a large blob shorter than it says": [packed([entry(3, new Uint8Array(5000), 9000)]), /size|cut off/],
  "with a large blob that is cut off": [packed([entry(3, new Uint8Array(5000))]).subarray(0, 20), /cut off/],
  "with a large blob that is no zlib": [packed([entry(3, new Uint8Array(5000)).fill(9, 3)]), /zlib/],
  "with zlib data that is none": [packed([junk(40)]), /zlib/],
  "with zlib data that ends in the middle": [
    packed([entry(3, text("x".repeat(99))).subarray(0, 9)]),
    /zlib|cut off/,
  ],
  "with zlib data that never ends": [packed([endless]), /goes on for too long/],
  "with a size beyond counting": [packed([Uint8Array.of(0xbf, ...Array(12).fill(0xff), 1)]), /absurd/],
  "with a delta of itself": [packed([entry(6, copyAll, 4, Uint8Array.of(0))]), /no object of it/],
  "with a delta of what is no object": [
    packed([commit, entry(6, copyAll, 4, Uint8Array.of(3))]),
    /no object of it/,
  ],
  "with a delta that reaches before it": [
    packed([entry(6, copyAll, 4, Uint8Array.of(0xff, 0x7f))]),
    /no object/,
  ],
  "with deltas by id of each other": [
    packed([
      entry(7, adding(1, "b"), 6, idOf("blob", text("abc"))),
      entry(7, adding(2, "c"), 6, idOf("blob", text("ab"))),
    ]),
    /2 deltas build on objects it does not hold; push again with --no-thin/,
  ],
  "with a delta of an object it does not hold": [
    packed([commit, entry(7, copyAll, 4, idOf("blob", text("elsewhere")))]),
    /push again with --no-thin/,
  ],
  "with a delta of another base's size": [
    packed([commit, entry(6, Uint8Array.of(1, 1, 0x90, 1), 4, Uint8Array.of(commit.byteLength))]),
    /another size/,
  ],
  "with a delta that is cut off": [
    packed([commit, entry(6, Uint8Array.of(0x80), 1, Uint8Array.of(commit.byteLength))]),
    /delta/,
  ],
};

test.each(Object.entries(malformed))("a pack %s is refused, with why", async (_, [pack, why]) => {
  for (const piece of [1, 50, 1 << 20]) {
    const reading = readAll(new Uint8Array(pack), { piece, small: 1024 });
    await expect(reading).rejects.toThrow(
      expect.objectContaining({ code: "malformed", message: expect.stringMatching(why) }),
    );
  }
});

/** Each delta of a chain copies its base `copies` times: `copies` bytes of it more for each one. */
function doubling(times: number): Bytes {
  const size = (value: number): number[] =>
    [value, value >> 7, value >> 14, value >> 21].map((part, i) => (part & 127) | (i < 3 ? 128 : 0));
  const entries: Uint8Array[] = [entry(3, text("x".repeat(1024)))];
  for (let i = 0, base = 1024; i < times; i++, base *= 2) {
    const bytes = [base & 255, (base >> 8) & 255, (base >> 16) & 255];
    const copy = base < 0x1000000 ? [0xf0, ...bytes] : [0x80];
    const delta = Uint8Array.of(...size(base), ...size(base * 2), ...copy, ...copy);
    const distance = entries.at(-1)?.byteLength ?? 0;
    entries.push(
      entry(
        6,
        delta,
        delta.byteLength,
        distance < 128 ? Uint8Array.of(distance) : Uint8Array.of(((distance >> 7) - 1) | 128, distance & 127),
      ),
    );
  }
  return packed(entries);
}

const excessive: Record<string, readonly [Bytes, Parameters<typeof readAll>[1], RegExp]> = {
  "with too many objects": [packed([commit], 5_000_000), {}, /5000000 objects.*push it in parts/],
  "with a commit too large": [
    packed([commitEntry("x".repeat(2000))]),
    { text: 1000 },
    /a commit of \d+ bytes/,
  ],
  "with a tree too large": [packed([entry(2, new Uint8Array(2000))]), { tree: 1000 }, /a tree of 2000 bytes/],
  "with an object of a small delta too large": [doubling(12), { held: 1 << 20 }, /core.bigFileThreshold/],
  "with deltas in too long a row": [doubling(6), { depth: 5 }, /more than 5 deltas in a row/],
  "with a blob that inflates to too much": [
    packed([entry(3, new Uint8Array(6_000_000))]),
    { workLeast: 1_000_000, workRatio: 10, small: 1000 },
    /more than a gateway unpacks/,
  ],
  "with deltas that make too much": [
    doubling(11),
    { workLeast: 1_000_000, workRatio: 10 },
    /more than a gateway unpacks/,
  ],
};

test.each(Object.entries(excessive))("a pack %s is refused as too large", async (_, [pack, bounds, why]) => {
  await expect(readAll(pack, bounds)).rejects.toThrow(
    expect.objectContaining({ code: "too_large", message: expect.stringMatching(why) }),
  );
});

test("a bomb costs no more than it admits to", async () => {
  const bomb = Buffer.concat([Uint8Array.of(0x3a), deflateSync(new Uint8Array(100_000_000))]);
  const before = process.memoryUsage().arrayBuffers;
  await expect(readAll(packed([bomb]))).rejects.toThrow("an object's size is not what it says");
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
});

test("whatever bytes change in a pack, reading it refuses with a reason or finds what git finds", async () => {
  const path = await imported(workspace, 9, 25);
  const pack = await packOf(workspace, path, "", "--all", "--delta-base-offset");
  const known = new Set(lines((await readAll(pack)).objects));
  const change = fc.record({ at: fc.nat(pack.byteLength - 1), byte: fc.nat(255) });
  const changes = fc.array(change, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(changes, fc.nat(pack.byteLength), fc.boolean(), async (changed, length, mend) => {
      const mutated = pack.slice(0, mend ? pack.byteLength : length);
      for (const { at, byte } of changed) if (at < mutated.byteLength) mutated[at] = byte;
      // With a good checksum the change itself has to be found.
      if (mend)
        mutated.set(createHash("sha1").update(mutated.subarray(0, -20)).digest(), mutated.byteLength - 20);
      try {
        const { objects } = await readAll(mutated, { recent: 2000, history: 3000 });
        return mend || lines(objects).every((line) => known.has(line));
      } catch (thrown) {
        return thrown instanceof Refusal && thrown.message.startsWith("The pack ");
      }
    }),
    { numRuns: 300 },
  );
});

test("a commit of a pack names the empty tree by its own hash", async () => {
  const { objects } = await readAll(packed([entry(2, new Uint8Array(0))]));
  expect(objects.map(({ id }) => id)).toEqual([TREE]);
});
