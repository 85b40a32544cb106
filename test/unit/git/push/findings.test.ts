import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PushFinding, PushFindings } from "#durable/format/frame.ts";
import { git, gitBytes, makeWorkspace, type Workspace, working } from "../repository.ts";
import { bodyOf, inspected, type Pushed, type Server, servedBy } from "./pushing.ts";

const KEY = `AKIA${"IOSFODNN7EXAMPLE"}`;
const OTHER = `AKIA${"QQQQ2345QQQQ6777"}`;
const ZERO = "0".repeat(40);
const MAIN = "refs/heads/main";

let workspace: Workspace;
let names = 0;
beforeAll(() => {
  workspace = makeWorkspace();
});
afterAll(() => workspace.remove());

const repository = () => working(workspace, `findings-${names++}`);

/** Commits files; null removes one. */
async function commit(
  path: string,
  files: Record<string, string | Uint8Array | null>,
  message = "Change",
): Promise<string> {
  for (const [name, content] of Object.entries(files))
    if (content === null) await git(workspace, path, "rm", "-q", name);
    else writeFileSync(join(path, name), content);
  await git(workspace, path, "add", "-A");
  await git(workspace, path, "commit", "-q", "--allow-empty", "-m", message);
  return git(workspace, path, "rev-parse", "HEAD");
}

async function pushed(path: string, old: string, next: string, serve: Server = servedBy(workspace, path)) {
  return inspected(await bodyOf(workspace, path, [[old, next, MAIN]]), serve);
}

const framesOf = ({ inspected: { frames } }: Pushed): readonly PushFindings[] =>
  frames.flatMap((frame) => (frame.k === "git" ? (frame.findings ?? []) : []));
const found = (push: Pushed): readonly PushFinding[] => framesOf(push).flatMap((each) => each.found);
const context = ({ inspected: { questions } }: Pushed, at = 0) => questions[at]?.context ?? {};
const CLEAN = { findings: [], severity: 0, inspected: true };

test("a key in a new file is found: where and how much, and it stands in no frame, not in the diff either", async () => {
  const path = await repository();
  const base = await commit(path, { a: "1\n" });
  const tip = await commit(path, { "deploy.env": `# keys\nAWS_KEY=${KEY}\nregion=eu\n`, b: "2\n" });
  const push = await pushed(path, base, tip);
  const object = await git(workspace, path, "rev-parse", `${tip}:deploy.env`);
  expect(found(push)).toMatchObject([
    {
      detector: "secrets",
      rule: "aws-access-key-id",
      severity: "high",
      path: "deploy.env",
      object,
      off: 15,
      len: 20,
    },
  ]);
  expect(context(push)).toMatchObject({ findings: ["secrets"], severity: 3, inspected: true });
  expect(push.inspected.named?.(MAIN)).toBe("found in deploy.env (secrets: aws-access-key-id)");
  const frames = JSON.stringify(push.inspected.frames);
  expect(frames).not.toContain(KEY);
  expect(frames).toContain("+AWS_KEY=[masked:secrets]\\n+region=eu");
});

test("a key the server has in the file already does not count, moved or beside other changes; another one does", async () => {
  const path = await repository();
  const base = await commit(path, { "a.env": `one\nkey=${KEY}\n` });
  const first = await commit(path, { "a.env": `key=${KEY}\none\ntwo\n` });
  const second = await commit(path, { "a.env": `key=${KEY}\none\ntwo\nthree\n` });
  const third = await commit(path, { "a.env": `key=${KEY}\none\n` });
  for (const tip of [first, second, third]) {
    const push = await pushed(path, base, tip);
    expect(context(push), tip).toMatchObject(CLEAN);
    expect(found(push)).toEqual([]);
  }
  const worse = await commit(path, { "a.env": `key=${KEY}\nnew=${OTHER}\n` });
  const push = await pushed(path, base, worse);
  expect(found(push)).toMatchObject([{ path: "a.env", off: 29 }]);
});

test("a file that is renamed with a change keeps what it had; a copy of the key in another file is new", async () => {
  const path = await repository();
  const base = await commit(path, { old: `key=${KEY}\n`, other: "x\n" });
  const renamed = await commit(path, { old: null, new: `key=${KEY}\nmore\n` });
  expect(context(await pushed(path, base, renamed))).toMatchObject(CLEAN);
  const copied = await commit(path, { other: `x\nkey=${KEY}\n` });
  expect(found(await pushed(path, renamed, copied))).toMatchObject([{ path: "other" }]);
});

test("what one commit adds and a later one takes back is found, however the versions follow each other", async () => {
  const path = await repository();
  const base = await commit(path, { f: "1\n" });
  const one = await commit(path, { f: `1\n${KEY}\n` });
  await commit(path, { f: `2\n${KEY}\n` });
  await commit(path, { f: `1\n${KEY}\n` });
  const tip = await commit(path, { f: "3\n" });
  const object = await git(workspace, path, "rev-parse", `${one}:f`);
  const push = await pushed(path, base, tip);
  expect(found(push)).toContainEqual(expect.objectContaining({ path: "f", object }));
  expect(context(push)).toMatchObject({ findings: ["secrets"], severity: 3 });
});

test("each ref is asked about with what it brings itself", async () => {
  const path = await repository();
  const base = await commit(path, { a: "1\n" });
  await git(workspace, path, "checkout", "-q", "-b", "bad");
  const bad = await commit(path, { b: `${KEY}\n` });
  await git(workspace, path, "checkout", "-q", "-b", "good", base);
  const good = await commit(path, { c: "1\n" });
  const body = await bodyOf(workspace, path, [
    [base, bad, "refs/heads/bad"],
    [base, good, "refs/heads/good"],
  ]);
  const push = await inspected(body, servedBy(workspace, path));
  expect(context(push, 0)).toMatchObject({ findings: ["secrets"], severity: 3 });
  expect(context(push, 1)).toMatchObject(CLEAN);
  expect(push.inspected.named?.("refs/heads/good")).toBeUndefined();
});

test("messages of commits and tags are looked into, addresses in them are not findings", async () => {
  const path = await repository();
  const base = await commit(path, { a: "1\n" });
  const signedOff = await commit(path, { a: "2\n" }, "Change\n\nSigned-off-by: Ada <ada@example.test>");
  expect(context(await pushed(path, base, signedOff))).toMatchObject(CLEAN);
  const told = await commit(path, { a: "3\n" }, `Use ${KEY} for now`);
  const push = await pushed(path, base, told);
  expect(found(push)).toMatchObject([{ rule: "aws-access-key-id", object: told }]);
  expect(found(push)[0]).not.toHaveProperty("path");
  expect(JSON.stringify(push.inspected.frames)).not.toContain(KEY);
  await git(workspace, path, "tag", "-a", "v1", "-m", `The key is ${OTHER}`);
  const tag = await git(workspace, path, "rev-parse", "v1");
  const body = await bodyOf(workspace, path, [[ZERO, tag, "refs/tags/v1"]], [told]);
  expect(found(await inspected(body, servedBy(workspace, path)))).toMatchObject([{ object: tag }]);
});

test("where the server cannot say what it had, all that was found counts, and is named by its object", async () => {
  const path = await repository();
  const base = await commit(path, { f: `${KEY}\n` });
  const tip = await commit(path, { f: `${KEY}\nmore\n` });
  const push = await pushed(path, base, tip, () => undefined);
  const object = await git(workspace, path, "rev-parse", `${tip}:f`);
  expect(found(push)).toMatchObject([{ object }]);
  expect(context(push)).toMatchObject({ findings: ["secrets"], severity: 3, inspected: false });
  expect(push.inspected.named?.(MAIN)).toContain(`object ${object.slice(0, 12)}`);
});

test("a large file is looked into piece by piece, at whatever offset", async () => {
  const path = await repository();
  const base = await commit(path, { a: "1\n" });
  const line = `${"word ".repeat(19)}word\n`;
  const text = line.repeat(30_000);
  const tip = await commit(path, { large: `${text}${KEY}\n${line}` });
  const push = await pushed(path, base, tip);
  expect(found(push)).toMatchObject([{ path: "large", off: text.length, len: 20 }]);
});

test("in bytes that are no text keys count, and numbers and addresses do not", async () => {
  const path = await repository();
  const base = await commit(path, { a: "1\n" });
  const bytes = (text: string) => Buffer.from(`\0\x01\x02 ann@example.com 4111 1111 1111 1111 ${text}`);
  const clean = await commit(path, { "a.bin": bytes("") });
  expect(context(await pushed(path, base, clean))).toMatchObject(CLEAN);
  const tip = await commit(path, { "b.bin": bytes(KEY) });
  expect(found(await pushed(path, clean, tip))).toMatchObject([{ path: "b.bin", detector: "secrets" }]);
});

test("ten thousand addresses do not hide a key behind them, and the record says how many are left out", async () => {
  const path = await repository();
  const base = await commit(path, { a: "1\n" });
  const addresses = Array.from({ length: 10_000 }, (_, i) => `user${i}@example.com\n`).join("");
  const tip = await commit(path, { list: `${addresses}${KEY}\n` });
  const push = await pushed(path, base, tip);
  expect(context(push)).toMatchObject({ findings: ["email", "secrets"], severity: 3 });
  expect(found(push).filter(({ detector }) => detector === "secrets")).toHaveLength(1);
  const omitted = framesOf(push).reduce((sum, each) => sum + (each.omitted ?? 0), 0);
  expect(found(push).length + omitted).toBe(10_001);
});

test("a private key's lines are hidden in a diff one by one, so that its line numbers hold", async () => {
  const path = await repository();
  const base = await commit(path, { "id.pem": "here\n" });
  const lines = Array.from({ length: 8 }, (_, i) => `MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA${i}`);
  const pem = ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----"];
  const tip = await commit(path, { "id.pem": `${pem.join("\n")}\nhere\n` });
  const push = await pushed(path, base, tip);
  const [diff] = push.inspected.frames.flatMap((frame) => (frame.k === "git" ? (frame.diffs ?? []) : []));
  expect(diff?.patch.split("\n")).toEqual(["@@ -1 +1,11 @@", ...pem.map(() => "+[masked:secrets]"), " here"]);
  expect(context(push)).toMatchObject({ severity: 4 });
});

test("a file that no ref leads to is looked into all the same", async () => {
  const path = await repository();
  const base = await commit(path, { a: "1\n" });
  const tip = await commit(path, { a: "2\n" });
  const stray = (await gitBytes(workspace, path, ["hash-object", "-w", "--stdin"], `${KEY}\n`))
    .toString()
    .trim();
  const body = await bodyOf(workspace, path, [
    [base, tip, MAIN],
    [ZERO, stray, "refs/tags/stray"],
  ]);
  const push = await inspected(body, servedBy(workspace, path));
  expect(found(push)).toMatchObject([{ object: stray }]);
  expect(context(push, 1)).toMatchObject({ findings: ["secrets"] });
});
