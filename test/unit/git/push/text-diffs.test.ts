import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TextDiff } from "#durable/format/frame.ts";
import { git, gitBytes, makeWorkspace, type Workspace, working } from "../repository.ts";
import { imported } from "./histories.ts";
import { bodyOf, inspected, type Pushed, servedBy } from "./pushing.ts";

let workspace: Workspace;
beforeAll(() => {
  workspace = makeWorkspace();
});
afterAll(() => workspace.remove());

const diffsOf = ({ inspected: { frames } }: Pushed): readonly TextDiff[] =>
  frames.flatMap((frame) => (frame.k === "git" ? (frame.diffs ?? []) : []));

test.each([300, 301, 302])(
  "git applies every diff of history %i, and gets the very files that were pushed",
  async (seed) => {
    const path = await imported(workspace, seed, 20);
    const commits = (await git(workspace, path, "rev-list", "--first-parent", "main")).split("\n");
    const [next = "", old = ""] = [commits[0], commits.at(-1)];
    const pushed = await inspected(
      await bodyOf(workspace, path, [[old, next, "refs/heads/main"]]),
      servedBy(workspace, path),
    );
    const diffs = diffsOf(pushed);
    expect(diffs.length).toBeGreaterThan(4);
    const directory = mkdtempSync(join(workspace.home, "applied-"));
    await git(workspace, directory, "init", "-q");
    const empty = /^0+$/;
    let patch = "";
    for (const [
      i,
      {
        ids: [before],
        patch: hunks,
      },
    ] of diffs.entries()) {
      const content = empty.test(before)
        ? undefined
        : await gitBytes(workspace, path, ["cat-file", "blob", before]);
      if (content) writeFileSync(join(directory, `f${i}`), content);
      patch += `--- ${content ? `a/f${i}` : "/dev/null"}\n+++ b/f${i}\n${hunks}\n`;
    }
    await gitBytes(workspace, directory, ["apply", "--whitespace=nowarn", "-"], patch);
    for (const [
      i,
      {
        ids: [, after],
      },
    ] of diffs.entries()) {
      const expected = await gitBytes(workspace, path, ["cat-file", "blob", after]);
      expect(readFileSync(join(directory, `f${i}`)).equals(expected)).toBe(true);
    }
  },
);

test("bytes, long files and files that differ all over have no diff, and a long diff says what it leaves out", async () => {
  const path = await working(workspace, "bounds");
  const files: Record<string, [string | Buffer, string | Buffer]> = {
    "binary.bin": ["a\0b", "a\0c"],
    "latin.txt": [Buffer.from([0xe9]), Buffer.from([0xe8])],
    "long.txt": ["x\n".repeat(200_000), `${"x\n".repeat(200_000)}y\n`],
    "all-over.txt": [
      Array.from({ length: 3000 }, (_, i) => `a${i}\n`).join(""),
      Array.from({ length: 3000 }, (_, i) => `b${i}\n`).join(""),
    ],
    "much.txt": ["", "a new line\n".repeat(1900)],
    "little.txt": ["one\ntwo\n", "one\n2"],
  };
  const commitSide = async (side: 0 | 1): Promise<string> => {
    for (const [name, sides] of Object.entries(files)) writeFileSync(join(path, name), sides[side]);
    await git(workspace, path, "add", "-A");
    await git(workspace, path, "commit", "-q", "-m", "x");
    return git(workspace, path, "rev-parse", "HEAD");
  };
  const [old, next] = [await commitSide(0), await commitSide(1)];
  const pushed = await inspected(
    await bodyOf(workspace, path, [[old, next, "refs/heads/main"]]),
    servedBy(workspace, path),
  );
  expect(pushed.changes[0]?.paths).toHaveLength(6);
  expect(diffsOf(pushed)).toMatchObject([
    { path: "little.txt", patch: "@@ -1,2 +1,2 @@\n one\n-two\n+2\n\\ No newline at end of file" },
    { path: "much.txt", omitted: expect.any(Number) },
  ]);
});

test("without the old version there is no diff of a changed file, and one of a new file all the same", async () => {
  const path = await working(workspace, "no-old");
  const write = async (name: string, text: string) => {
    writeFileSync(join(path, name), text);
    await git(workspace, path, "add", "-A");
    await git(workspace, path, "commit", "-q", "-m", "x");
    return git(workspace, path, "rev-parse", "HEAD");
  };
  const old = await write("a", "1\n");
  await write("a", "2\n");
  const next = await write("b", "new\n");
  const serve = servedBy(workspace, path);
  let asked = 0;
  const once = (request: Uint8Array) => (asked++ === 0 ? serve(request) : undefined);
  const pushed = await inspected(await bodyOf(workspace, path, [[old, next, "refs/heads/main"]]), once);
  expect(pushed.uncompared).toEqual([]);
  expect(diffsOf(pushed)).toMatchObject([{ path: "b", patch: "@@ -0,0 +1 @@\n+new" }]);
});
