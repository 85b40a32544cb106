/** Frames disclosed alone: what is given, what it proves, and what of the rest is not in it. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { framesName, SEAL_NAME } from "#durable/format/layout.ts";
import { concat } from "#durable/proof/bytes.ts";
import { readTlogProof, writeTlogProof } from "#durable/proof/log/tlog-proof.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import { verify } from "#scripts/cli/verify.ts";
import { disclose } from "#scripts/disclose/disclose.ts";
import { inlineSession, longSession } from "./corpus.ts";
import { Archive, type Objects, type Recording } from "./recording.ts";

let top: string;
let root: string;
let long: Recording;
let said: string[];

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), "steno-"));
  const archive = new Archive();
  await inlineSession(archive);
  long = await longSession(archive);
  root = write("archive", archive.objects);
});
afterAll(() => rmSync(top, { recursive: true }));
beforeEach(() => {
  said = [];
  for (const stream of ["log", "error"] as const)
    vi.spyOn(console, stream).mockImplementation((line: string) => void said.push(line));
});
afterEach(() => vi.restoreAllMocks());

function write(name: string, objects: Objects): string {
  for (const [key, bytes] of objects) {
    mkdirSync(join(top, name, dirname(key)), { recursive: true });
    writeFileSync(join(top, name, key), bytes);
  }
  return join(top, name);
}

const lines = (): string[] =>
  readdirSync(join(root, long.folder))
    .filter((name) => name.startsWith("frames-"))
    .sort()
    .flatMap((name) =>
      zstdDecompressSync(readFileSync(join(root, long.folder, name)))
        .toString()
        .trimEnd()
        .split("\n"),
    );
/** Frames by what they hold. */
const having = (text: string): number[] => lines().flatMap((line, i) => (line.includes(text) ? [i] : []));
const disclosed = async (name: string, frames: readonly number[]): Promise<string> => {
  const out = join(top, name);
  expect(await disclose([join(root, long.folder), "--frame", frames.join(), "-o", out])).toBe(0);
  return out;
};

test("every frame of a session can be disclosed alone, and verifies with the seal that came with it", async () => {
  const all = lines();
  for (const frame of all.keys()) {
    const out = await disclosed(`each-${frame}`, [frame]);
    expect(readFileSync(join(out, `frame-${frame}.json`), "utf8")).toBe(all[frame]);
    expect(await verify([out])).toBe(0);
    expect(said.at(-1)).toBe("VALID COMPLETE sessions=1 frames=1");
  }
});

test("the text and the bytes of other frames are not in it", async () => {
  const [decision = 0] = having('"k":"decision"');
  const out = await disclosed("decision", [decision]);
  expect(readdirSync(out).sort()).toEqual([
    `frame-${decision}.json`,
    `frame-${decision}.tlog-proof`,
    "seal.sigstore.json",
    "seal.tlog-proof",
    "trust",
  ]);
  const given = readdirSync(out).filter((name) => name !== "trust");
  const text = Buffer.concat(given.map((name) => readFileSync(join(out, name)))).toString("latin1");
  for (const secret of ["part 0", "part 1", "app/info/refs", "u-1"]) expect(text).not.toContain(secret);
});

test("a frame whose body lies in a bytes segment brings it, and the chunk is held against the frame's digest", async () => {
  const [frame = 0] = having('"bytes":[');
  const out = await disclosed("chunk", [frame]);
  const chunk = join(out, `frame-${frame}.bytes`);
  expect(readFileSync(chunk).byteLength).toBe(400);
  writeFileSync(chunk, concat([readFileSync(chunk).subarray(1), new Uint8Array(1)]));
  expect(await verify([out])).toBe(1);
  expect(said.some((line) => line.startsWith(`bytes_digest frame-${frame}.bytes: `))).toBe(true);
  rmSync(chunk);
  expect(await verify([out])).toBe(0);
});

test("any changed byte of a frame, its proof, the seal or the seal's proof is found, and the file is named", async () => {
  const out = await disclosed("bent", [3, 5]);
  for (const name of ["frame-3.json", "frame-3.tlog-proof", SEAL_NAME, "seal.tlog-proof"]) {
    const path = join(out, name);
    const good = readFileSync(path);
    for (let i = 0; i < 25; i++) {
      const at = Math.floor(((i + 0.5) * good.byteLength) / 25);
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ (1 << (i % 8));
      writeFileSync(path, bad);
      said = [];
      expect(await verify([out]), `${name} at ${at}`).toBe(1);
      // A bent line is found by its proof.
      const named = name === "frame-3.json" ? "frame-3" : name;
      expect(
        said.some((line) => line.includes(` ${named}`)),
        `${name} at ${at}: ${said}`,
      ).toBe(true);
    }
    writeFileSync(path, good);
  }
  expect(await verify([out])).toBe(0);
});

test("a proof for another frame, one without its frame, and what is no part of it are found", async () => {
  const out = await disclosed("mixed", [2, 4]);
  const found = async () => {
    said = [];
    await verify([out]);
    return said.map((line) => line.split(":")[0]);
  };
  const [two, four] = [2, 4].map((n) => readFileSync(join(out, `frame-${n}.tlog-proof`)));
  writeFileSync(join(out, "frame-2.tlog-proof"), four ?? "");
  expect(await found()).toContain("frame_proof frame-2.tlog-proof");
  writeFileSync(join(out, "frame-2.tlog-proof"), two ?? "");
  rmSync(join(out, "frame-4.json"));
  expect(await found()).toContain("object_missing frame-4.json");
  rmSync(join(out, "frame-2.tlog-proof"));
  expect(await found()).toContain("object_missing frame-2.tlog-proof");
  writeFileSync(join(out, "notes.txt"), "x");
  expect(await found()).toContain("object_unknown notes.txt");
});

test("nothing is disclosed from a session that is not as its seal has it, has no such frame, or over what is there", async () => {
  const folder = join(root, long.folder);
  expect(await disclose([folder, "--frame", "9999", "-o", join(top, "none")])).toBe(1);
  expect(said.at(-1)).toContain("there is no frame 9999: the session has");
  const bad = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of readdirSync(folder))
    bad.set(`${name}`, new Uint8Array(readFileSync(join(folder, name))));
  bad.delete(framesName(1));
  const alone = write("alone", bad);
  expect(await disclose([alone, "--frame", "1", "-o", join(top, "none")])).toBe(1);
  expect(said.at(-1)).toContain("is not there, or not as it was sealed");
  expect(existsSync(join(top, "none"))).toBe(false);
  const out = await disclosed("twice", [1]);
  await expect(disclose([folder, "--frame", "1", "-o", out])).rejects.toThrow("choose another directory");
});

test("how it was called is complained about in words", async () => {
  const folder = join(root, long.folder);
  await expect(disclose([])).rejects.toThrow(UsageFault);
  await expect(disclose([folder])).rejects.toThrow("which frames?");
  await expect(disclose([folder, "--frame", "-1"])).rejects.toThrow(UsageFault);
  await expect(disclose([folder, "--frame=1,x"])).rejects.toThrow("is not a list of frames");
  await expect(disclose([root, "--frame", "1"])).rejects.toThrow("of which session?");
  await expect(disclose([root, "--frame", "1", "--session", "x"])).rejects.toThrow("is not a session's id");
  expect(
    await disclose([root, "--frame", "1", "--session", long.session, "-o", join(top, "named"), "--json"]),
  ).toBe(0);
  expect(JSON.parse(said.at(-1) ?? "")).toMatchObject({ frames: [1] });
});

test("a tlog-proof is read as it was written, and only one text is one proof", () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const proof = fc.record({ index: fc.nat(), path: fc.array(hash, { maxLength: 40 }), note: fc.string() });
  fc.assert(
    fc.property(proof, (given) => {
      const read = readTlogProof(writeTlogProof(given));
      return typeof read !== "string" && writeTlogProof(read) === writeTlogProof(given);
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      const read = readTlogProof(text);
      return typeof read === "string" || writeTlogProof(read) === text;
    }),
  );
  for (const [text, why] of [
    ["", "does not begin with"],
    ["c2sp.org/tlog-proof@v1\nindex 01\n\nx", "names no index"],
    ["c2sp.org/tlog-proof@v1\nextra eA==\nindex 1\n\nx", "names no index"],
    ["c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx", "no SHA-256"],
  ] as const)
    expect(readTlogProof(text)).toContain(why);
});
