import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { GitFetch, GitPush } from "#durable/format/operation.ts";
import { backend, type Gateway, startGateway } from "./gateway.ts";
import { bare, commit, git, gitBytes, makeWorkspace, tryGit, type Workspace, working } from "./repository.ts";

let workspace: Workspace;
let gateway: Gateway;
let source: string;
let tip: string;
let count = 0;

beforeAll(async () => {
  workspace = makeWorkspace();
  gateway = await startGateway(backend(workspace));
  await bare(workspace, "app.git");
  source = await working(workspace, "source");
  for (let i = 0; i < 6; i++) tip = await commit(workspace, source, "a.txt", `${i}\n`.repeat(50));
  await git(workspace, source, "push", "-q", join(workspace.served, "app.git"), "main");
});
afterAll(async () => {
  await gateway.stop();
  workspace.remove();
});
beforeEach(() => {
  gateway.passed.length = 0;
});

const clone = async (...args: string[]): Promise<string> => {
  const path = join(workspace.home, `clone-${count++}`);
  await git(
    workspace,
    workspace.home,
    ...args.filter((arg) => arg === "-c" || arg.includes("protocol")),
    "clone",
    "-q",
    ...args.filter((arg) => arg.startsWith("--")),
    `${gateway.url}/app.git`,
    path,
  );
  return path;
};
const fetches = (): GitFetch[] =>
  gateway.passed
    .map(({ inspected }) => inspected.operation)
    .filter((operation) => operation.kind === "git.fetch");
const pushes = () => gateway.passed.filter(({ inspected }) => inspected.operation.kind === "git.push");
const exact = (): boolean =>
  gateway.passed.every(({ received, sent }) => sent === undefined || Buffer.compare(received, sent) === 0);

test.each([0, 1, 2])("a clone over protocol v%i arrives whole and is decoded", async (version) => {
  const path = await clone("-c", `protocol.version=${version}`);
  expect(await git(workspace, path, "rev-parse", "HEAD")).toBe(tip);
  const refs = gateway.passed[0]?.inspected.operation;
  expect(refs).toMatchObject({ kind: "git.refs", repository: "app", service: "git-upload-pack", version });
  expect(fetches().at(-1)).toMatchObject({ version, wants: [tip], haves: 0, done: true });
  expect(exact()).toBe(true);
});

test.each([0, 2])("a shallow clone over v%i says its depth", async (version) => {
  const path = await clone("-c", `protocol.version=${version}`, "--depth=2");
  expect(await git(workspace, path, "rev-list", "--count", "HEAD")).toBe("2");
  expect(fetches().at(-1)?.depth).toBe("2");
});

test.each([0, 2])("a partial clone over v%i says its filter", async (version) => {
  await clone("-c", `protocol.version=${version}`, "--filter=blob:none", "--no-checkout");
  expect(fetches().at(-1)?.filter).toBe("blob:none");
});

test.each([0, 2])(
  "a fetch over v%i with many haves is compressed, and passes exactly as it was sent",
  async (version) => {
    const path = await clone();
    const local = Array.from(
      { length: 100 },
      (_, i) => `commit refs/heads/local
committer A <a@b> ${2_000_000_000 + i} +0000
data 1
x
`,
    );
    await gitBytes(workspace, path, ["fast-import", "--quiet"], local.join(""));
    const next = await commit(workspace, source, "b.txt", String(version));
    await git(workspace, source, "push", "-q", join(workspace.served, "app.git"), "main");
    tip = next;
    gateway.passed.length = 0;
    await git(workspace, path, "-c", `protocol.version=${version}`, "fetch", "-q");
    expect(await git(workspace, path, "rev-parse", "origin/main")).toBe(next);
    expect(fetches().some(({ haves }) => haves > 10)).toBe(true);
    const encodings = gateway.passed.map(({ incoming }) => incoming.request.headers.get("content-encoding"));
    expect(encodings).toContain("gzip");
    expect(exact()).toBe(true);
  },
);

test("clients never hear of bundle-uri, object-info or packfile-uris", async () => {
  await clone();
  const response = await fetch(`${gateway.url}/app.git/info/refs?service=git-upload-pack`, {
    headers: { "git-protocol": "version=2" },
  });
  const text = await response.text();
  expect(text).toContain("version 2");
  expect(text).toContain("ls-refs");
  expect(text).not.toMatch(/bundle-uri|object-info|packfile-uris/);
  expect(response.headers.get("content-length")).toBe(String(text.length));
});

test("a fast-forward push is an update, with its commits as git wrote them", async () => {
  const path = await clone();
  await git(workspace, path, "commit", "-q", "--allow-empty", "-m", "Subject\n\nBody of ünïcode");
  const next = await git(workspace, path, "rev-parse", "HEAD");
  await git(workspace, path, "push", "-q", "origin", "HEAD:main");
  const push = pushes()[0];
  const inspected = push?.inspected;
  const updates = [{ ref: "refs/heads/main", old: tip, new: next, change: "update" }];
  expect(inspected?.operation).toMatchObject({ kind: "git.push", updates });
  const commits = inspected?.frames.flatMap((frame) => frame.commits ?? []);
  expect(commits).toMatchObject([
    { id: next, parents: [tip], message: "Subject\n\nBody of ünïcode\n", signed: false },
  ]);
  expect(inspected?.questions).toMatchObject([{ part: "refs/heads/main", action: "git.push" }]);
  expect(exact()).toBe(true);
  tip = next;
  await git(workspace, source, "pull", "-q", join(workspace.served, "app.git"), "main");
});

test("several refs in one push are told apart: created, forced, deleted", async () => {
  const path = await clone();
  await git(workspace, path, "push", "-q", "origin", "HEAD:refs/heads/old", "HEAD:refs/heads/rewritten");
  await git(workspace, path, "commit", "-q", "--amend", "--allow-empty", "-m", "Rewritten");
  await git(workspace, path, "tag", "-a", "v1", "-m", "One");
  gateway.passed.length = 0;
  await git(
    workspace,
    path,
    "push",
    "-q",
    "--atomic",
    "-o",
    "ci.skip",
    "-o",
    "reason=x y",
    "origin",
    "+HEAD:rewritten",
    "HEAD:fresh",
    "v1",
    ":old",
  );
  const operation = pushes()[0]?.inspected.operation as GitPush;
  const changes = Object.fromEntries(operation.updates.map(({ ref, change }) => [ref, change]));
  expect(changes).toEqual({
    "refs/heads/rewritten": "force",
    "refs/heads/fresh": "create",
    "refs/tags/v1": "create",
    "refs/heads/old": "delete",
  });
  expect(operation).toMatchObject({ atomic: true, options: ["ci.skip", "reason=x y"] });
});

test("a push that only deletes has no pack and passes", async () => {
  const path = await clone();
  await git(workspace, path, "push", "-q", "origin", "HEAD:gone");
  gateway.passed.length = 0;
  await git(workspace, path, "push", "-q", "origin", ":gone");
  expect(pushes()[0]?.inspected.frames).toEqual([
    { k: "git", updates: [{ ref: "refs/heads/gone", old: tip, new: "0".repeat(40), change: "delete" }] },
  ]);
});

test.each([
  ["whole", 2, "all"],
  ["spooled", 6, "all"],
])("a long push is probed, sent in chunks and %s", async (_, megabytes, scanned) => {
  const path = await clone();
  const next = await commit(workspace, path, "big.bin", randomBytes(megabytes << 20));
  gateway.passed.length = 0;
  await git(workspace, path, "push", "-q", "origin", `HEAD:big-${megabytes}`);
  const kinds = gateway.passed.map(({ inspected }) => inspected.operation.kind);
  expect(kinds).toEqual(["git.refs", "git.probe", "git.push"]);
  const push = pushes()[0];
  expect(push?.incoming.request.headers.get("transfer-encoding")).toBe("chunked");
  expect(push?.inspected.frames.find(({ pack }) => pack)?.pack).toMatchObject({
    scanned,
    commits: 1,
    unread: [],
  });
  expect(push?.inspected.frames.flatMap(({ commits }) => commits ?? [])).toMatchObject([{ id: next }]);
  expect(gateway.passed.find(({ inspected }) => inspected.operation.kind === "git.probe")?.sent).toBe(
    undefined,
  );
  expect(exact()).toBe(true);
  expect(await git(workspace, join(workspace.served, "app.git"), "rev-parse", `big-${megabytes}`)).toBe(next);
});

test("ls-remote lists what the server has, and a missing repository is said to be missing", async () => {
  expect(await git(workspace, workspace.home, "ls-remote", `${gateway.url}/app.git`, "main")).toContain(tip);
  const { code, stderr } = await tryGit(workspace, workspace.home, "ls-remote", `${gateway.url}/none.git`);
  expect(code).not.toBe(0);
  expect(stderr).toContain("The git server has no such repository");
});
