import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { GitContained } from "#durable/format/frame.ts";
import type { GitOperation } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { detectors } from "#test/unit/adapter-contract.ts";
import type { Incoming, Inspected } from "#workers/adapters/adapter.ts";
import { gitAdapter } from "#workers/adapters/git/adapter.ts";
import { backend, connection, type Gateway, startGateway } from "./gateway.ts";
import { bare, commit, git, makeWorkspace, type Ran, tryGit, type Workspace, working } from "./repository.ts";

const REASON = "main changes by review only: push a branch and ask for a merge";

let workspace: Workspace;
let gateway: Gateway;
let path: string;
let judge: (incoming: Incoming, inspected?: Inspected<GitOperation, GitContained>) => void;

beforeAll(async () => {
  workspace = makeWorkspace();
  gateway = await startGateway(backend(workspace), (incoming, inspected) => judge(incoming, inspected));
  await bare(workspace, "app.git");
  path = await working(workspace, "source");
  await commit(workspace, path, "a.txt", "a");
  await git(workspace, path, "push", "-q", join(workspace.served, "app.git"), "main", "main:old");
  await git(workspace, path, "remote", "add", "origin", `${gateway.url}/app.git`);
  await commit(workspace, path, "a.txt", "b");
});
afterAll(async () => {
  await gateway.stop();
  workspace.remove();
});
beforeEach(() => {
  judge = () => undefined;
});

/** Refuses where `kind` has been decoded, or before anything is with `undefined`. */
function refusing(kind: GitOperation["kind"] | undefined, refusal = new Refusal("denied", REASON)): void {
  judge = (_, inspected) => {
    if (inspected?.operation.kind === kind) throw refusal;
  };
}

const run = (...args: string[]): Promise<Ran> => tryGit(workspace, path, ...args);

function expectRefused({ code, stdout, stderr }: Ran, reason = REASON): void {
  expect(`${stdout}${stderr}`).toContain(reason);
  expect(`${stdout}${stderr}`).not.toContain("Everything up-to-date");
  expect(code).toBeGreaterThan(0);
}

const upstream = (ref: string): Promise<Ran> =>
  tryGit(workspace, join(workspace.served, "app.git"), "rev-parse", "-q", "--verify", ref);

test.each([[["ls-remote", "origin"]], [["fetch", "origin"]], [["push", "origin", "main"]]])(
  "refused at info/refs, git %j shows the reason and fails",
  async (args) => {
    refusing("git.refs");
    for (const version of [0, 1, 2]) expectRefused(await run("-c", `protocol.version=${version}`, ...args));
  },
);

test.each(["not_recorded", "rate_limited", "upstream_timeout", "fault", "session_ended"] as const)(
  "a refusal of code %s before anything was read is shown too",
  async (code) => {
    refusing(undefined, new Refusal(code, "Nothing can be recorded at the moment."));
    expectRefused(await run("ls-remote", "origin"), "Nothing can be recorded at the moment.");
    expectRefused(await run("push", "origin", "main"), "Nothing can be recorded at the moment.");
  },
);

test.each([0, 2])(
  "a clone and a fetch over v%i refused at git-upload-pack show the reason and fail",
  async (version) => {
    refusing("git.fetch");
    const at = join(workspace.home, `refused-${version}`);
    expectRefused(await run("-c", `protocol.version=${version}`, "clone", `${gateway.url}/app.git`, at));
    expectRefused(await run("-c", `protocol.version=${version}`, "fetch", "--refetch", "origin"));
  },
);

test.each([[[]], [["-q"]], [["--porcelain"]], [["--atomic"]]])(
  "a refused push %j shows the reason, fails, and changes nothing",
  async (flags) => {
    refusing("git.push");
    const before = (await upstream("main")).stdout;
    const ran = await run("push", ...flags, "origin", "main");
    expectRefused(ran);
    expect(`${ran.stdout}${ran.stderr}`).toContain("[remote rejected]");
    expect((await upstream("main")).stdout).toBe(before);
  },
);

test("of a push of several refs, each is told its own reason", async () => {
  const parts = [{ part: "refs/heads/main", reason: REASON }];
  refusing("git.push", new Refusal("denied", "1 of 3 refs is denied", { parts }));
  const ran = await run("push", "--porcelain", "origin", "main", "main:fresh", ":old");
  expectRefused(ran);
  expect(ran.stdout).toMatch(
    /^!\t\S*main:refs\/heads\/main\t\[remote rejected\] \(main changes by review only/m,
  );
  expect(ran.stdout).toMatch(
    /^!\t\S*main:refs\/heads\/fresh\t\[remote rejected\] \(not changed, because another ref/m,
  );
  expect(ran.stdout).toMatch(/^!\t:refs\/heads\/old\t\[remote rejected\] \(not changed/m);
  expect((await upstream("fresh")).code).toBeGreaterThan(0);
});

test("a refused deletion fails with its reason", async () => {
  refusing("git.push");
  expectRefused(await run("push", "origin", ":old"));
  expect((await upstream("old")).code).toBe(0);
});

test("a refused push of more than a megabyte, probed and chunked, fails with its reason", async () => {
  refusing("git.push");
  await run("checkout", "-q", "-b", "big");
  await commit(workspace, path, "big.bin", randomBytes(6 << 20));
  expectRefused(await run("push", "origin", "big"));
  await run("checkout", "-q", "main");
});

test("a push that cannot be decoded fails with its reason", async () => {
  judge = (incoming, inspected) => {
    if (inspected === undefined && incoming.request.method === "POST")
      throw new Refusal("malformed", "The pack cannot be read.");
  };
  expectRefused(await run("push", "origin", "main"), "The pack cannot be read.");
});

test("a reason cannot forge lines or speak to the terminal", async () => {
  refusing("git.push", new Refusal("denied", "no\u001b[2J\nremote: all went well\u0000\u009b1m"));
  const { stderr } = await run("push", "origin", "main");
  expect(stderr).toContain("no [2J remote: all went well 1m");
  expect(stderr).not.toMatch(/^remote: all went well/m);
});

test("a bad token makes git ask its credential helper, by a Basic challenge", async () => {
  refusing(undefined, new Refusal("unauthenticated", "the token has expired"));
  const { code, stderr } = await run("ls-remote", "origin");
  expect(code).toBeGreaterThan(0);
  expect(stderr).toContain("Authentication failed");
  for (const method of ["GET", "POST"]) {
    const url = method === "GET" ? "/app.git/info/refs?service=git-upload-pack" : "/app.git/git-receive-pack";
    const response = await fetch(gateway.url + url, { method });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe('Basic realm="steno", charset="UTF-8"');
    expect(await response.text()).toBe("the token has expired\n");
  }
});

test("what is no git address gets a status and a sentence", async () => {
  const archive = await fetch(`${gateway.url}/app.git/git-upload-archive`, { method: "POST", body: "{}" });
  expect([archive.status, await archive.text()]).toEqual([
    404,
    "This address takes git over smart HTTP and Git LFS: clone, fetch and push, nothing else.\n",
  ]);
  const dumb = await run("-c", "http.version=HTTP/1.1", "ls-remote", `${gateway.url}/app.git/..%2fx`);
  expect(dumb.stderr).toContain("The repository's path has a part that is not allowed.");
});

test.each([
  [["report-status"], "000eunpack ok\n0017ng refs/heads/x no\n0000"],
  [
    ["report-status-v2", "side-band-64k"],
    "0008\u0002no\n002e\u0001000eunpack ok\n0017ng refs/heads/x no\n00000000",
  ],
  [["side-band-64k"], "0008\u0003no\n0000"],
])("a client of capabilities %j gets the form it asked for", async (capabilities, form) => {
  const updates = [
    { ref: "refs/heads/x", old: "1".repeat(40), new: "2".repeat(40), change: "force" },
  ] as const;
  const operation = {
    kind: "git.push",
    repository: "app",
    updates,
    capabilities,
    options: [],
    atomic: false,
  } as const;
  const request = new Request("http://gateway/app/git-receive-pack", { method: "POST", body: "x" });
  const incoming = {
    request,
    connection,
    path: "/app/git-receive-pack",
    query: "",
    stallSeconds: 60,
    detectors,
  };
  const response = gitAdapter.refuse(new Refusal("denied", "no"), incoming, operation);
  expect(response.status).toBe(200);
  expect(await response.text()).toBe(form);
});

test("a client that wants no report and has no sideband is stopped by the status", () => {
  const operation = {
    kind: "git.push",
    repository: "app",
    updates: [],
    capabilities: [],
    options: [],
    atomic: false,
  } as const;
  const request = new Request("http://gateway/app/git-receive-pack", { method: "POST", body: "x" });
  const incoming = {
    request,
    connection,
    path: "/app/git-receive-pack",
    query: "",
    stallSeconds: 60,
    detectors,
  };
  expect(gitAdapter.refuse(new Refusal("denied", "no"), incoming, operation).status).toBe(403);
});
