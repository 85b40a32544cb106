// Upstreams that fail, refuse or mislead, and addresses nobody should ask for: git says what happened, and nothing else does.
import { execFile } from "node:child_process";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type GitClient, refsOf } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { type GitDaemon, startGitDaemon } from "#test/support/servers/git-daemon.ts";
import { type GitoliteServer, startGitolite } from "#test/support/servers/gitolite.ts";
import { freePort } from "#test/support/servers/ports.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";

const curl = promisify(execFile);

let site: GitSite;
let gitolite: GitoliteServer;
let daemon: GitDaemon;
let client: GitClient;
let clone: string;
let bare: string;
let before: readonly string[];

beforeAll(async () => {
  [gitolite, daemon] = await Promise.all([startGitolite(), startGitDaemon()]);
  const nobody = await freePort();
  site = await startGitSite({
    connections: (tap) => [
      { name: "wrong", kind: "git", upstream: `${tap.url}/auth`, credential: "env:WRONG" },
      { name: "nobody", kind: "git", upstream: `http://127.0.0.1:${nobody}`, credential: "env:WRONG" },
      { name: "nodaemon", kind: "git", upstream: `git://127.0.0.1:${nobody}` },
      { name: "daemon", kind: "git", upstream: daemon.url },
      { name: "reader", kind: "git", upstream: gitolite.url, credential: "env:READER" },
      { name: "writer", kind: "git", upstream: gitolite.url, credential: "env:WRITER" },
    ],
    env: {
      WRONG: "upstream:wrong-password",
      READER: `${gitolite.reader.user}:${gitolite.reader.password}`,
      WRITER: `${gitolite.writer.user}:${gitolite.writer.password}`,
    },
  });
  bare = join(site.server.root, "app.git");
  await tinyRepository(bare);
  client = await site.client({ sub: "bob" });
  before = await refsOf(client, bare);
  clone = await client.clone(site.url("app.git"));
  await client.git("-C", clone, "checkout", "-q", "-b", "work");
  await client.commit(clone, "work.txt", "work\n");
});
beforeEach(() => {
  site.tap.passed.length = 0;
  site.tap.instead = undefined;
});
afterAll(async () => {
  await site?.stop();
  await Promise.all([gitolite?.stop(), daemon?.stop()]);
});

/** Fetches and pushes; both must fail, say `why`, and change nothing. */
async function bothFail(url: string, why: string): Promise<void> {
  for (const args of [
    ["ls-remote", url],
    ["-C", clone, "push", url, "work"],
  ]) {
    const { code, stdout, stderr } = await client.attempt(...args);
    expect(code).not.toBe(0);
    expect(stderr).toContain(why);
    expect(`${stdout}${stderr}`).not.toContain("Everything up-to-date");
  }
  expect(await refsOf(client, bare)).toEqual(before);
}
const UNREACHABLE = "cannot be reached";

test("an upstream that is not there is said to be unreachable, over http and git://", async () => {
  await bothFail(site.url("app.git", "nobody"), UNREACHABLE);
  await bothFail(site.url("app.git", "nodaemon"), UNREACHABLE);
});

test("an upstream that went away is said to be unreachable, and serves again when it is back", async () => {
  await site.tap.goDown();
  await bothFail(site.url("app.git"), UNREACHABLE);
  await site.tap.comeBack();
  expect(await client.git("ls-remote", site.url("app.git"))).toContain("refs/heads/main");
});

test("a credential the upstream does not accept is the gateway's matter: git is not asked for another", async () => {
  await bothFail(site.url("app.git", "wrong"), "The git server did not accept the gateway's credential.");
  const response = await fetch(`${site.url("app.git", "wrong")}/info/refs?service=git-upload-pack`, {
    headers: { authorization: `Bearer ${await site.token()}` },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get("www-authenticate")).toBe(null);
});

const failing: readonly (readonly [string, (response: ServerResponse) => void, string])[] = [
  [
    "401",
    (r) => r.writeHead(401, { "www-authenticate": 'Basic realm="inner"' }).end("who?"),
    "did not accept the gateway's credential",
  ],
  ["403", (r) => r.writeHead(403).end("inner words"), "does not let the gateway do this (403)"],
  ["404", (r) => r.writeHead(404).end("inner words"), "no such repository (404)"],
  ["500", (r) => r.writeHead(500).end("inner words"), "The git server answered 500."],
  ["503", (r) => r.writeHead(503, { "retry-after": "1" }).end("inner words"), "The git server answered 503."],
  [
    "a redirect",
    (r) => r.writeHead(302, { location: "http://127.0.0.1:1/elsewhere" }).end(),
    "a redirect, which the gateway does not follow",
  ],
  [
    "a page",
    (r) => r.writeHead(200, { "content-type": "text/html" }).end("<p>inner words"),
    "is not smart HTTP",
  ],
  ["nothing", (r) => r.destroy(), "the upstream cannot be reached"],
];

describe.each(failing)("an upstream that answers with %s", (_, fail, why) => {
  test("is told of when refs are asked for", async () => {
    site.tap.instead = (_request, response) => {
      fail(response);
      return true;
    };
    await bothFail(site.url("app.git"), why);
    const words = await client.attempt("ls-remote", site.url("app.git"));
    expect(words.stderr).not.toContain("inner words");
  });

  test("is told of when it fails in the middle, and a push is then no success", async () => {
    site.tap.instead = (request, response) => {
      if (request.method !== "POST") return false;
      request.resume();
      request.once("end", () => fail(response));
      return true;
    };
    const fetched = await client.attempt("clone", site.url("app.git"), client.fresh());
    expect(fetched.code).not.toBe(0);
    expect(fetched.stderr).toContain(why);
    const pushed = await client.attempt("-C", clone, "push", "origin", "work");
    expect(pushed.code).not.toBe(0);
    expect(pushed.stderr).toContain(why);
    expect(pushed.stderr).not.toContain("Everything up-to-date");
    expect(await refsOf(client, bare)).toEqual(before);
  });
});

test("an answer that breaks off leaves git with an error, never with half a repository", async () => {
  site.tap.instead = (request, response) => {
    if (request.method !== "POST") return false;
    response.writeHead(200, { "content-type": "application/x-git-upload-pack-result" });
    response.write("0008NAK\n");
    setTimeout(() => response.destroy(), 50);
    return true;
  };
  const { code } = await client.attempt(
    "-c",
    "protocol.version=0",
    "clone",
    site.url("app.git"),
    client.fresh(),
  );
  expect(code).not.toBe(0);
});

test("what a server that authorizes by itself refuses is refused in its own words", async () => {
  const reader = await client.attempt("-C", clone, "push", site.url("project", "reader"), "work");
  expect(reader.code).not.toBe(0);
  expect(reader.stderr).toMatch(/DENIED|403/);
  const ref = `work:${gitolite.protectedRef}`;
  const writer = await client.attempt("-C", clone, "push", site.url("project", "writer"), ref);
  expect(writer.code).not.toBe(0);
  expect(writer.stderr).toContain("hook declined");
  expect(writer.stderr).toContain("DENIED by refs/heads/release/");
});

test("a daemon's own refusal is passed on as the upstream's", async () => {
  const { code, stderr } = await client.attempt("ls-remote", site.url("none.git", "daemon"));
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/remote error: /);
});

test("a connection nobody configured is refused by name, without a word to any upstream", async () => {
  await bothFail(site.url("app.git", "other"), 'there is no git connection named "other"');
  expect(site.tap.passed).toEqual([]);
});

test.each([
  "/git/code/app.git/info/refs",
  "/git/code/app.git/info/refs?service=git-upload-archive",
  "/git/code/app.git/info/refs?service=git-upload-pack&x=1",
  "/git/code/app.git/HEAD",
  "/git/code/app.git/objects/info/packs",
  "/git/code/../app.git/info/refs?service=git-upload-pack",
  "/git/code/%2e%2e/app.git/info/refs?service=git-upload-pack",
  "/git/code/a%2fb.git/info/refs?service=git-upload-pack",
  "/git/code/a%00b.git/info/refs?service=git-upload-pack",
  "/git/code/%ff.git/info/refs?service=git-upload-pack",
  "/git/code/-option/info/refs?service=git-upload-pack",
  "/git/code//app.git/info/refs?service=git-upload-pack",
  "/git/code/app.git/.git/info/refs?service=git-upload-pack",
  "/git/code/app.git/info/lfs/objects/elsewhere",
  `/git/code/app.git/info/lfs/objects/${"a".repeat(64)}/5`,
  "/git/Code/app.git/info/refs?service=git-upload-pack",
  "/git/code",
  "/git/",
])("%s is refused and reaches no upstream", async (path) => {
  const { stdout } = await curl("curl", [
    ...["-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}"],
    ...["-H", `Authorization: Bearer ${await site.token()}`, `${site.node.gateway()}${path}`],
  ]);
  expect(["400", "404"]).toContain(stdout);
  expect(site.tap.passed).toEqual([]);
});

test("all of it is sealed and verifies, and every failure is recorded as the gateway's answer", async () => {
  expect(await site.seal()).toEqual(SOUND);
  const { exchanges } = await site.recording();
  const codes = new Set([...exchanges.values()].map(({ response }) => response?.refusal?.code));
  for (const code of [
    "upstream_unreachable",
    "upstream_protocol",
    "unknown_connection",
    "unknown_path",
    "malformed",
  ])
    expect([...codes]).toContain(code);
});
