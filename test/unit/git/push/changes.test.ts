import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { git, gitBytes, makeWorkspace, tryGit, type Workspace, working } from "../repository.ts";
import { commitText, entry, packed, pushBody, type UpdateLine } from "../wire.ts";
import { type Format, imported, numbers } from "./histories.ts";
import { asRaw, bodyOf, inspected, type Pushed, rawDiff, servedBy } from "./pushing.ts";

let workspace: Workspace;
beforeAll(() => {
  workspace = makeWorkspace();
});
afterAll(() => workspace.remove());

const zero = (format: Format): string => "0".repeat(format === "sha1" ? 40 : 64);

const seeds = Array.from({ length: 12 }, (_, i) => [i + 100, i % 4 === 3 ? "sha256" : "sha1"] as const);

test.each(seeds)(
  "what a push of history %i in %s changes is what git diff says, ref by ref",
  async (seed, format) => {
    const path = await imported(workspace, seed, 14, format);
    const serve = servedBy(workspace, path);
    const commits = (await git(workspace, path, "rev-list", "--all", "--topo-order")).split("\n");
    const pick = numbers(seed);
    for (let i = 0; i < 8; i++) {
      const [next = "", old = ""] = [commits[pick(commits.length)], commits[pick(commits.length)]];
      if (next === old) continue;
      const updates: UpdateLine[] = [[old, next, "refs/heads/main"]];
      const pushed = await inspected(await bodyOf(workspace, path, updates), serve);
      const [main] = pushed.changes.filter(({ ref }) => ref !== undefined);
      expect(pushed.uncompared).toEqual([]);
      expect(main && asRaw(main)).toEqual(await rawDiff(workspace, path, old, next));
    }
    const [tip = ""] = commits;
    const all = await inspected(
      await bodyOf(workspace, path, [[zero(format), tip, "refs/heads/all"]]),
      serve,
    );
    expect(all.changes.filter(({ ref }) => ref).map(asRaw)).toEqual([
      await rawDiff(workspace, path, undefined, tip),
    ]);
    expect(all.looks).toBe(0);
  },
);

async function commitAll(path: string, files: Record<string, string | null>, message = "x"): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    if (content === null) await git(workspace, path, "rm", "-q", name);
    else writeFileSync(join(path, name), content);
  }
  await git(workspace, path, "add", "-A");
  await git(workspace, path, "commit", "-q", "-m", message);
  return git(workspace, path, "rev-parse", "HEAD");
}

const contextOf = ({ inspected: { questions } }: Pushed, at = 0) => questions[at]?.context ?? {};

test("a new branch is compared with the newest commit of its line that the server has", async () => {
  const path = await working(workspace, "branch");
  const base = await commitAll(path, { a: "1" });
  await commitAll(path, { b: "2" });
  const tip = await commitAll(path, { c: "3" });
  const body = await bodyOf(workspace, path, [[zero("sha1"), tip, "refs/heads/topic"]], [base]);
  const pushed = await inspected(body, servedBy(workspace, path));
  expect(pushed.changes).toMatchObject([
    { ref: "refs/heads/topic", base, paths: [{ path: "b" }, { path: "c" }] },
  ]);
  expect(contextOf(pushed)).toMatchObject({
    paths: ["b", "c"],
    files: 2,
    changes: ["A"],
    modes: ["100644"],
    odd: [],
    inspected: true,
    commits: 2,
    unsigned: 2,
    authors: ["ada@example.test"],
    largest: 1,
  });
});

test("what one commit adds and the next takes back is told, and policies see its path", async () => {
  const path = await working(workspace, "back");
  const base = await commitAll(path, { a: "1" });
  const adding = await commitAll(path, { secret: "key" });
  const tip = await commitAll(path, { a: "2", secret: null });
  const removed = await git(workspace, path, "show", "--format=", "--name-status", tip);
  expect(removed).toContain("D\tsecret");
  const pushed = await inspected(
    await bodyOf(workspace, path, [[base, tip, "refs/heads/main"]]),
    servedBy(workspace, path),
  );
  expect(pushed.changes).toMatchObject([
    { ref: "refs/heads/main", base, paths: [{ path: "a", status: "M" }] },
    { commit: adding, base, paths: [{ path: "secret", status: "A", size: 3 }] },
    { commit: tip, base: adding, paths: [{ path: "secret", status: "D" }] },
  ]);
  expect(contextOf(pushed)).toMatchObject({ paths: ["a", "secret"], inspected: true });
});

test("a merge tells what differs from every side, and not what one of them already had", async () => {
  const path = await working(workspace, "merge");
  const base = await commitAll(path, { a: "1", b: "1" });
  await git(workspace, path, "checkout", "-q", "-b", "side");
  const side = await commitAll(path, { b: "2" });
  await git(workspace, path, "checkout", "-q", "main");
  const main = await commitAll(path, { a: "2" });
  await git(workspace, path, "merge", "-q", "--no-commit", "side");
  const tip = await commitAll(path, { evil: "added by the merge" }, "merge");
  expect(await git(workspace, path, "rev-list", "--parents", "-1", tip)).toBe(`${tip} ${main} ${side}`);
  const body = await bodyOf(workspace, path, [[zero("sha1"), tip, "refs/heads/topic"]], [main, side]);
  const pushed = await inspected(body, servedBy(workspace, path));
  expect(pushed.changes).toMatchObject([
    { ref: "refs/heads/topic", base: main, paths: [{ path: "b" }, { path: "evil" }] },
  ]);
  const both = await inspected(
    await bodyOf(workspace, path, [[base, tip, "refs/heads/main"]]),
    servedBy(workspace, path),
  );
  expect(both.changes[0]?.paths.map(({ path: name }) => name)).toEqual(["a", "b", "evil"]);
  expect(both.uncompared).toEqual([]);
});

test("a folder moved here from another branch, which the pack does not have, is asked for", async () => {
  const path = await working(workspace, "moved");
  const base = await commitAll(path, { a: "1" });
  await git(workspace, path, "checkout", "-q", "-b", "other");
  await commitAll(path, { elsewhere: "1" });
  await git(workspace, path, "read-tree", "--prefix=deep/er/", "HEAD");
  await git(workspace, path, "commit", "-q", "-m", "deep");
  await git(workspace, path, "checkout", "-q", "-f", "main");
  await git(workspace, path, "read-tree", "--prefix=here/", "other:deep");
  await git(workspace, path, "commit", "-q", "-m", "moved");
  const tip = await git(workspace, path, "rev-parse", "HEAD");
  // What a git does that knows what the server has: the commit and its root, and nothing of the folder.
  const root = await git(workspace, path, "rev-parse", `${tip}^{tree}`);
  const pack = await gitBytes(workspace, path, ["pack-objects", "--stdout", "-q"], `${tip}\n${root}\n`);
  const body = pushBody([[base, tip, "refs/heads/main"]], "report-status", [], pack);
  const pushed = await inspected(body, servedBy(workspace, path));
  expect(pushed.changes[0] && asRaw(pushed.changes[0])).toEqual(await rawDiff(workspace, path, base, tip));
  expect(pushed.uncompared).toEqual([]);
  expect(pushed.looks).toBe(2);
});

test("the next push to a repository is compared with what the last one brought, without asking again", async () => {
  const path = await working(workspace, "again");
  const ids = [];
  for (const n of [1, 2, 3]) ids.push(await commitAll(path, { a: `${n}`, [`f${n}`]: "x" }));
  const [one = "", two = "", three = ""] = ids;
  const first = await inspected(
    await bodyOf(workspace, path, [[one, two, "refs/heads/main"]]),
    servedBy(workspace, path),
    {},
    "again",
  );
  const second = await inspected(
    await bodyOf(workspace, path, [[two, three, "refs/heads/main"]]),
    servedBy(workspace, path),
    {},
    "again",
  );
  expect([first.looks, second.looks]).toEqual([2, 0]);
  expect(second.changes[0] && asRaw(second.changes[0])).toEqual(await rawDiff(workspace, path, two, three));
});

test("a tag is compared through to its commit, and a removed branch needs no comparing", async () => {
  const path = await working(workspace, "tag");
  const base = await commitAll(path, { a: "1" });
  const tip = await commitAll(path, { b: "1" });
  await git(workspace, path, "tag", "-a", "-m", "one", "v1", tip);
  const tag = await git(workspace, path, "rev-parse", "v1");
  const updates: UpdateLine[] = [
    [zero("sha1"), tag, "refs/tags/v1"],
    [base, zero("sha1"), "refs/heads/gone"],
  ];
  const pushed = await inspected(await bodyOf(workspace, path, updates), servedBy(workspace, path));
  expect(pushed.changes).toMatchObject([{ ref: "refs/tags/v1", base, paths: [{ path: "b", status: "A" }] }]);
  expect(contextOf(pushed, 1)).toMatchObject({ change: "delete", inspected: true });
});

test("where the server cannot filter, or does not answer, the frame says so and policies know", async () => {
  const path = await working(workspace, "unfiltered");
  const base = await commitAll(path, { a: "1" });
  const tip = await commitAll(path, { b: "1" });
  const body = await bodyOf(workspace, path, [[base, tip, "refs/heads/main"]]);
  await git(workspace, path, "config", "uploadpack.allowFilter", "false");
  const lacking = (request: Uint8Array) => {
    try {
      return servedBy(workspace, path)(request);
    } catch (failed) {
      // It says why and exits.
      return new Uint8Array((failed as { stdout: Buffer }).stdout);
    }
  };
  for (const serve of [lacking, () => undefined, () => new Uint8Array(Buffer.from("<html>"))]) {
    const pushed = await inspected(body, serve);
    expect(pushed.uncompared).toEqual([expect.stringMatching(/server/)]);
    expect(contextOf(pushed)).toMatchObject({ inspected: false });
    expect(
      pushed.inspected.frames.flatMap((frame) => (frame.k === "git" ? (frame.commits ?? []) : [])),
    ).toHaveLength(1);
  }
  expect((await tryGit(workspace, path, "fsck")).code).toBe(0);
});

const idOf = (kind: string, content: Uint8Array): Buffer =>
  createHash("sha1").update(`${kind} ${content.byteLength}\0`).update(content).digest();
type Row = readonly [mode: string, name: Uint8Array | string];
/** A push of one commit whose tree has these entries, in the order given. */
function pushing(rows: readonly Row[]): Uint8Array {
  const blob = Buffer.from("content\n");
  const tree = Buffer.concat(
    rows.flatMap(([mode, name]) => [
      Buffer.from(`${mode} `),
      Buffer.from(name as string),
      Buffer.from([0]),
      idOf("blob", blob),
    ]),
  );
  const commit = Buffer.from(
    Buffer.from(commitText("odd\n"))
      .toString()
      .replace(/^tree [0-9a-f]+/, `tree ${idOf("tree", tree).toString("hex")}`),
  );
  const pack = packed([entry(1, commit), entry(2, tree), entry(3, blob)]);
  return pushBody(
    [[zero("sha1"), idOf("commit", commit).toString("hex"), "refs/heads/odd"]],
    "report-status",
    [],
    pack,
  );
}
const nothing = () => undefined;

test.each([
  [".", /a path is called "\."/],
  ["..", /a path is called "\.\."/],
  [".git", /may take for \.git/],
  [".GIT", /may take for \.git/],
  [".git ", /may take for \.git/],
  [".git.. .", /may take for \.git/],
  ["git~1", /may take for \.git/],
  ["GIT~1", /may take for \.git/],
  [".git::$INDEX_ALLOCATION", /may take for \.git/],
  [".g\u200cit", /may take for \.git/],
  [".\ufeffGit\u202e", /may take for \.git/],
  ["a/b", /a slash in its name/],
  ["", /a path has no name/],
])(
  "a push with a file called %j is refused, because a checkout would take it for something else",
  async (name, why) => {
    await expect(inspected(pushing([["100644", name]]), nothing)).rejects.toMatchObject({
      code: "malformed",
      message: expect.stringMatching(why),
    });
  },
);

test.each<[string, readonly Row[], RegExp]>([
  [
    "a name twice",
    [
      ["100644", "a"],
      ["100644", "a"],
    ],
    /a tree has "a" twice/,
  ],
  [
    "names out of order",
    [
      ["100644", "b"],
      ["100644", "a"],
    ],
    /a tree is not in order/,
  ],
  ["no mode", [["10x644", "a"]], /an entry without a mode/],
  ["a path of absurd length", [["100644", "a".repeat(5000)]], /more than 4096 letters/],
])("a tree with %s is refused", async (_, rows, why) => {
  await expect(inspected(pushing(rows), nothing)).rejects.toMatchObject({
    code: "malformed",
    message: expect.stringMatching(why),
  });
});

test("names that can be misread pass, and are said to be odd", async () => {
  const rows: Row[] = [
    ["100644", "Readme"],
    ["100644", "bell\u0007"],
    ["100644", Buffer.from([0x66, 0xff, 0x66])],
    ["100644", "gpj.\u202eexe"],
    ["100644", "git~2"],
    ["100644", "readme"],
  ];
  const sorted = rows.toSorted(([, a], [, b]) =>
    Buffer.compare(Buffer.from(a as string), Buffer.from(b as string)),
  );
  const pushed = await inspected(pushing(sorted), nothing);
  const odd = Object.fromEntries(pushed.changes[0]?.paths.map(({ path, odd: why }) => [path, why]) ?? []);
  expect(odd).toEqual({
    Readme: ["case"],
    readme: ["case"],
    "bell\u0007": ["control"],
    "f\\xfff": ["bytes"],
    "gpj.\u202eexe": ["invisible"],
    "git~2": undefined,
  });
  expect(contextOf(pushed)).toMatchObject({
    odd: ["bytes", "case", "control", "invisible"],
    inspected: true,
  });
});

test("where only refs are inspected, nothing is said of paths", async () => {
  const path = await working(workspace, "refs-only");
  const tip = await commitAll(path, { a: "1" });
  const body = await bodyOf(workspace, path, [[zero("sha1"), tip, "refs/heads/main"]]);
  const pushed = await inspected(body, nothing, { inspect: "refs" });
  expect(pushed.changes).toEqual([]);
  const context = contextOf(pushed);
  expect(context).toMatchObject({ inspected: false, commits: 1 });
  for (const name of ["paths", "files", "largest", "changes", "modes", "odd"])
    expect(context).not.toHaveProperty(name);
});
