import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { OBJECT_MAX, readPack } from "#workers/adapters/git/pack/pack.ts";
import { git, gitBytes, makeWorkspace, type Workspace, working } from "./repository.ts";
import { commitEntry, commitText, entry, packed, TREE } from "./wire.ts";

type Format = "sha1" | "sha256";
type Bytes = Uint8Array<ArrayBuffer>;

let workspace: Workspace;
beforeAll(() => {
  workspace = makeWorkspace();
});
afterAll(() => workspace.remove());

/** A history from a seed: two branches that merge, long messages that make deltas, tags, names outside ASCII. */
function history(seed: number): string {
  const lines: string[] = [];
  const commits = 12 + ((seed * 7) % 40);
  for (let i = 1; i <= commits; i++) {
    const branch = i % 4 === seed % 4 ? "side" : "main";
    const message = `Commit ${i} of ${seed}\n\n${"The same long paragraph, again and again. ".repeat(10 + seed)}${i}\n`;
    const content = `${"line\n".repeat(i)}${seed}`;
    lines.push(`commit refs/heads/${branch}`, `mark :${i}`);
    lines.push(`author Zoë ${i} <zoe@example.test> ${1_700_000_000 + i} +0100`);
    lines.push(`committer Ada <ada@example.test> ${1_700_000_000 + i * 60} +0000`);
    lines.push(`data ${Buffer.byteLength(message)}`, message);
    if (branch === "main" && i > 8 && i % 5 === 0) lines.push("merge refs/heads/side");
    lines.push(`M 644 inline f${i % 3}.txt`, `data ${content.length}`, content);
  }
  lines.push(
    "tag v1",
    `from :${commits}`,
    "tagger Ada <ada@example.test> 1700000000 +0000",
    "data 4",
    "One\n",
  );
  return lines.join("\n");
}

async function imported(seed: number, format: Format = "sha1"): Promise<string> {
  const path = await working(workspace, `history-${format}-${seed}`, format);
  await gitBytes(workspace, path, ["fast-import", "--quiet"], history(seed));
  return path;
}

async function packOf(path: string, revisions: string, ...options: string[]): Promise<Bytes> {
  const args = ["pack-objects", "--stdout", "--revs", "-q", "--depth=50", "--window=50", ...options];
  return new Uint8Array(await gitBytes(workspace, path, args, revisions));
}

const FIELDS = "%H%x00%T%x00%P%x00%an <%ae> %ad%x00%cn <%ce> %cd%x00%B%x01";

const seeds = Array.from({ length: 30 }, (_, seed) => [seed, seed % 4 === 3 ? "sha256" : "sha1"] as const);

test.each(seeds)("every commit of history %i in %s is read as git has it", async (seed, format) => {
  const path = await imported(seed, format);
  const pack = await packOf(path, "", "--all", ...(seed % 2 === 0 ? ["--delta-base-offset"] : []));
  const { summary, commits } = readPack(pack, true, format);
  const shown = await git(workspace, path, "log", "--all", `--format=${FIELDS}`, "--date=raw");
  const expected = shown
    .split("\u0001")
    .filter(Boolean)
    .map((record) =>
      record
        .trimStart()
        .split("\0")
        .map((field) => field.trimEnd()),
    );
  const read = commits.map(({ id, tree, parents, author, committer, message }) => [
    id,
    tree,
    parents.join(" "),
    author,
    committer,
    message.trimEnd(),
  ]);
  expect(read.sort()).toEqual(expected.sort());
  expect(summary).toMatchObject({ version: 2, scanned: "all", commits: expected.length });
  // Trees and blobs are not hashed, so deltas of them by id are not followed; git sends those only to servers of old.
  if (seed % 2 === 0) expect(summary.unread).toEqual([]);
});

test("among those histories there are commits stored as deltas, by offset and by id", async () => {
  const path = await imported(31);
  for (const options of [["--delta-base-offset"], []]) {
    const pack = await packOf(path, "", "--all", ...options);
    const [, name] = (await gitBytes(workspace, path, ["index-pack", "--stdin"], pack))
      .toString()
      .trim()
      .split("\t");
    const listing = await git(workspace, path, "verify-pack", "-v", `.git/objects/pack/pack-${name}.idx`);
    expect(listing).toMatch(/^[0-9a-f]{40} commit +\d+ \d+ \d+ [1-9]\d* [0-9a-f]{40}$/m);
  }
});

test("a thin pack says which deltas it could not follow, and reads its commits all the same", async () => {
  const path = await imported(32);
  const all = (await git(workspace, path, "rev-list", "--first-parent", "main")).split("\n");
  const pack = await packOf(path, `main\n^${all[3]}\n`, "--thin", "--delta-base-offset");
  const { summary, commits } = readPack(pack, true, "sha1");
  const expected = (await git(workspace, path, "rev-list", "main", `^${all[3]}`)).split("\n");
  expect(commits.map(({ id }) => id).sort()).toEqual(expected.sort());
  expect(summary.scanned).toBe("all");
});

test("of a pack that goes on, the leading commits are read wherever it is cut", async () => {
  const path = await imported(33);
  const pack = await packOf(path, "", "--all", "--delta-base-offset");
  const whole = readPack(pack, true, "sha1").commits.map(({ id }) => id);
  let most = 0;
  for (let length = 4; length < pack.byteLength; length += 97) {
    const { summary, commits } = readPack(pack.subarray(0, length), false, "sha1");
    expect(commits.map(({ id }) => id)).toEqual(whole.slice(0, commits.length));
    expect(commits.length).toBeGreaterThanOrEqual(most);
    expect(summary.scanned).toBe("leading");
    most = commits.length;
  }
  expect(most).toBe(whole.length);
});

const text = (words: string): Uint8Array => Buffer.from(words);
const commit = commitEntry("one\n");
const copyAll = Uint8Array.of(0x69, 0x69, 0x90, 0x69);

const absurd: Record<string, Bytes> = {
  "of version 9": packed([commit], 1, 9),
  "with an object of type 0": packed([entry(0, text("x"))]),
  "with an object of type 5": packed([entry(5, text("x"))]),
  "with fewer objects than it says": packed([commit], 2),
  "with more objects than it says": packed([commit, commit], 1),
  "with an object longer than it says": packed([entry(3, text("longer"), 3)]),
  "with an object shorter than it says": packed([entry(3, text("short"), 50)]),
  "with a blob that inflates without end": packed([entry(3, new Uint8Array(30_000_000), 10)]),
  "with a size beyond counting": packed([Uint8Array.of(0xbf, ...Array(12).fill(0xff), 1)]),
  "with a delta of itself": packed([entry(6, copyAll, 4, Uint8Array.of(0))]),
  "with a delta of what is no object": packed([commit, entry(6, copyAll, 4, Uint8Array.of(3))]),
  "with a delta that reaches before it": packed([entry(6, copyAll, 4, Uint8Array.of(0xff, 0x7f))]),
  "with a delta of another base's size": packed([
    commit,
    entry(6, Uint8Array.of(1, 1, 0x90, 1), 4, Uint8Array.of(commit.byteLength)),
  ]),
  "with a delta that is cut off": packed([
    commit,
    entry(6, Uint8Array.of(0x80), 1, Uint8Array.of(commit.byteLength)),
  ]),
  "with zlib data that is none": packed([Uint8Array.of(0x31, 1, 2, 3, 4, 5, 6)]),
  "with a commit that has no tree": packed([entry(1, text("author A <a@b> 1 +0000\n\nx"))]),
  "with a commit that has a bad parent": packed([entry(1, text(`tree ${TREE}\nparent nothing\n\nx`))]),
  "with a wrong checksum": packed([commit]).fill(0, -1),
  "that is empty": new Uint8Array(0),
};

test.each(Object.entries(absurd))("a pack %s is malformed", (_, pack) => {
  expect(() => readPack(pack, true, "sha1")).toThrow(expect.objectContaining({ code: "malformed" }));
});

test("commits beyond a megabyte are too large, whether they say so or a delta makes them", () => {
  const base = commitText("x".repeat(60_000));
  const sizes = [base.byteLength, OBJECT_MAX + 1].flatMap((size) => [
    (size & 127) | 128,
    ((size >> 7) & 127) | 128,
    size >> 14,
  ]);
  const bomb = Uint8Array.from([...sizes, ...Array(18).fill([0xb0, 0xff, 0xe0]).flat()]);
  const first = entry(1, base);
  const distance = Uint8Array.of(((first.byteLength >> 7) - 1) | 128, first.byteLength & 127);
  const packs = [
    packed([entry(1, commitText("x".repeat(OBJECT_MAX)))]),
    packed([first, entry(6, bomb, bomb.byteLength, distance)]),
  ];
  for (const pack of packs) {
    expect(() => readPack(pack, true, "sha1")).toThrow(expect.objectContaining({ code: "too_large" }));
  }
});

test("a delta of an object the server has is named when it may hide a commit, and not when it cannot", () => {
  const id = new Uint8Array(20).fill(7);
  const may = entry(7, copyAll, 4, id);
  const cannot = entry(7, Uint8Array.of(105, 6, 6, ...text("100644")), 9, id);
  const { summary } = readPack(packed([cannot, may]), true, "sha1");
  expect(summary).toMatchObject({ scanned: "all", unread: [12 + cannot.byteLength] });
});

test("a commit in another encoding, one that names none we know, and a signed one are read for what they are", () => {
  const head = `tree ${TREE}\nauthor Zo\u00eb <z@b> 1 +0000\ncommitter Zo\u00eb <z@b> 1 +0000\n`;
  const latin = (words: string): Uint8Array => Buffer.from(words, "latin1");
  const signature = "gpgsig -----BEGIN\n tree nothing\n -----END\n";
  const contents = [
    latin(`${head}encoding ISO-8859-1\n\ngr\u00fcn`),
    text(`${head}encoding klingon\n\ngr\u00fcn`),
    text(`${head}${signature}\ngr\u00fcn`),
    latin(`${head}\ngr\u00fcn`),
  ];
  const { commits } = readPack(packed(contents.map((content) => entry(1, content))), true, "sha1");
  expect(commits.map(({ author, message, signed }) => [author, message, signed])).toEqual([
    ["Zo\u00eb <z@b> 1 +0000", "gr\u00fcn", false],
    ["Zo\u00eb <z@b> 1 +0000", "gr\u00fcn", false],
    ["Zo\u00eb <z@b> 1 +0000", "gr\u00fcn", true],
    ["Zo\ufffd <z@b> 1 +0000", "gr\ufffdn", false],
  ]);
});

test("whatever bytes change in a pack, reading it refuses or finds only commits whose ids it can prove", async () => {
  const path = await imported(34);
  const pack = await packOf(path, "", "--all", "--delta-base-offset");
  const known = new Set(readPack(pack, true, "sha1").commits.map(({ id }) => id));
  const change = fc.record({ at: fc.nat(pack.byteLength - 1), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.boolean(), (changes, ended) => {
      const mutated = pack.slice();
      for (const { at, byte } of changes) mutated[at] = byte;
      try {
        const { commits } = readPack(mutated, ended, "sha1");
        return !ended || commits.every(({ id }) => known.has(id));
      } catch (thrown) {
        return thrown instanceof Refusal;
      }
    }),
    { numRuns: 400 },
  );
});
