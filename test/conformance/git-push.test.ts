// Pushing through a whole node with stock git: the upstream's refs are those that a direct push of the same would leave.
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GitClient, refsOf } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { type GitDaemon, startGitDaemon } from "#test/support/servers/git-daemon.ts";
import { type GitoliteServer, startGitolite } from "#test/support/servers/gitolite.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { header } from "#test/support/tap.ts";

let site: GitSite;
let daemon: GitDaemon;
let gitolite: GitoliteServer;
let direct: GitClient;
/** Holds the hooks of the served repositories, and what they saw. */
let hooks: string;

const HOOK = `#!/bin/sh
i=0
while [ $i -lt \${GIT_PUSH_OPTION_COUNT:-0} ]; do eval "echo option $i: \\$GIT_PUSH_OPTION_$i"; i=$((i+1)); done > "$GIT_DIR/options"
echo "the hook says hello" >&2
`;

beforeAll(async () => {
  [daemon, gitolite] = await Promise.all([startGitDaemon(), startGitolite()]);
  site = await startGitSite({
    connections: () => [
      { name: "daemon", kind: "git", upstream: daemon.url },
      { name: "lite", kind: "git", upstream: gitolite.url, credential: "env:WRITER" },
    ],
    env: { WRITER: `${gitolite.writer.user}:${gitolite.writer.password}` },
  });
  direct = site.direct();
  hooks = join(direct.home, "hooks");
  mkdirSync(hooks);
  writeFileSync(join(hooks, "pre-receive"), HOOK);
  chmodSync(join(hooks, "pre-receive"), 0o755);
});
afterAll(async () => {
  await site?.stop();
  await Promise.all([daemon?.stop(), gitolite?.stop()]);
});

/** Two equal repositories, one to push to through the gateway and one directly, and a clone to push from. */
async function twins(name: string, client: GitClient) {
  const [through, straight] = [`${name}-through.git`, `${name}-straight.git`];
  for (const each of [through, straight]) {
    const bare = join(site.server.root, each);
    await tinyRepository(bare);
    await direct.git("-C", bare, "config", "core.hooksPath", hooks);
  }
  const clone = await client.clone(site.url(through));
  await client.git("-C", clone, "remote", "add", "straight", site.directUrl(straight));
  await client.git("-C", clone, "checkout", "-q", "-b", "work");
  return { clone, bare: join(site.server.root, through), other: join(site.server.root, straight) };
}

describe.each([0, 2] as const)("protocol v%i configured", (protocol) => {
  let client: GitClient;
  let clone: string;
  let bare: string;
  let other: string;
  beforeAll(async () => {
    client = await site.client({ protocol, sub: "bob" });
    ({ clone, bare, other } = await twins(`app-${protocol}`, client));
  });
  /** Pushes to both and compares what came of it; returns what the client was told by the gateway. */
  const push = async (...args: string[]): Promise<string> => {
    site.tap.passed.length = 0;
    const { code, stderr } = await client.attempt("-C", clone, "push", "origin", ...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
    await client.git("-C", clone, "push", "-q", "straight", ...args);
    expect(await refsOf(direct, bare)).toEqual(await refsOf(direct, other));
    await direct.git("-C", bare, "fsck", "--strict", "--no-dangling");
    return stderr;
  };
  const at = (ref: string) => direct.git("-C", bare, "rev-parse", ref);

  test("a small push makes its branch, and what the server's hook says is shown", async () => {
    const id = await client.commit(clone, "small.txt", "small\n");
    expect(await push("work")).toContain("remote: the hook says hello");
    expect(await at("refs/heads/work")).toBe(id);
  });

  test("the next commit fast-forwards it", async () => {
    const id = await client.commit(clone, "small.txt", "smaller\n");
    await push("work");
    expect(await at("refs/heads/work")).toBe(id);
  });

  test("a branch moves forward to commits the server has already", async () => {
    await push("origin/main:refs/heads/behind");
    await push("work:refs/heads/behind");
    expect(await at("refs/heads/behind")).toBe(await at("refs/heads/work"));
  });

  test.each([2, 9])(
    "a push of %i MB reaches the server once and whole, and its probe does not",
    async (megabytes) => {
      const id = await client.commit(clone, "big.bin", randomBytes(megabytes << 20));
      await push(`work:refs/heads/big-${megabytes}`);
      expect(await at(`refs/heads/big-${megabytes}`)).toBe(id);
      const [sent, ...more] = site.tap.passed.filter(
        ({ method, url }) =>
          method === "POST" && url.endsWith(`app-${protocol}-through.git/git-receive-pack`),
      );
      expect(more).toEqual([]);
      // All of it is here before any of it leaves, so its length is known.
      expect(header(sent?.headers ?? [], "content-length")).toEqual(expect.any(String));
      expect(sent?.body().byteLength).toBeGreaterThan(megabytes << 20);
    },
  );

  test("several refs, an annotated tag, a rename by delete and create, all in one push", async () => {
    const id = await client.commit(clone, "several.txt", "several\n");
    await client.git("-C", clone, "tag", "-a", "v2", "-m", "Second");
    await push("work", "work:refs/heads/one", "v2", ":refs/heads/behind", "work:refs/heads/ahead");
    expect(await at("refs/heads/one")).toBe(id);
    expect(await at("v2^{}")).toBe(id);
  });

  test("a push that only deletes deletes", async () => {
    await push("--delete", "one", "ahead");
    expect((await refsOf(direct, bare)).join()).not.toMatch(/heads\/(one|ahead)/);
  });

  test("an atomic push moves all of its refs", async () => {
    const id = await client.commit(clone, "atomic.txt", "atomic\n");
    await push("--atomic", "work", "work:refs/heads/both");
    expect([await at("work"), await at("both")]).toEqual([id, id]);
  });

  test("push options reach the server's hook in their order", async () => {
    await client.commit(clone, "options.txt", "options\n");
    await push("-o", "ci.skip", "-o", "title=Two words", "work");
    expect(readFileSync(join(bare, "options"), "utf8")).toBe(
      "option 0: ci.skip\noption 1: title=Two words\n",
    );
  });

  test("a lead pushes main forward in person", async () => {
    await client.git("-C", clone, "checkout", "-q", "main");
    const id = await client.commit(clone, "main.txt", `main ${protocol}\n`);
    await push("main");
    expect(await at("main")).toBe(id);
    await client.git("-C", clone, "checkout", "-q", "work");
  });

  test("nothing to push is everything up to date", async () => {
    expect(await push("work")).toContain("Everything up-to-date");
  });
});

test("a repository with SHA-256 object ids is pushed to", async () => {
  const client = await site.client();
  const bare = join(site.server.root, "wide.git");
  await direct.git("init", "-q", "--bare", "--object-format=sha256", bare);
  const work = client.fresh();
  await client.git("init", "-q", "--object-format=sha256", work);
  const first = await client.commit(work, "a.txt", "wide\n");
  await client.git("-C", work, "push", "-q", site.url("wide.git"), "main:topic");
  const second = await client.commit(work, "a.txt", "wider\n");
  await client.git("-C", work, "push", "-q", site.url("wide.git"), "main:topic");
  expect(await direct.git("-C", bare, "log", "--format=%H", "topic")).toBe(`${second}\n${first}`);
});

test("a shallow clone pushes what it made", async () => {
  const client = await site.client();
  await tinyRepository(join(site.server.root, "shallow.git"));
  const clone = await client.clone(site.url("shallow.git"), "--depth=1");
  await client.git("-C", clone, "checkout", "-q", "-b", "shallow");
  const id = await client.commit(clone, "a.txt", "shallow\n");
  await client.git("-C", clone, "push", "-q", "origin", "shallow");
  const bare = join(site.server.root, "shallow.git");
  expect(await direct.git("-C", bare, "rev-parse", "shallow")).toBe(id);
});

test("an empty repository gets its first branch", async () => {
  const client = await site.client();
  await site.server.createRepository("empty.git");
  const clone = await client.clone(site.url("empty.git"));
  const id = await client.commit(clone, "a.txt", "first\n");
  await client.git("-C", clone, "push", "-q", "origin", "HEAD:first");
  expect(await direct.git("ls-remote", site.directUrl("empty.git"))).toBe(`${id}\trefs/heads/first`);
});

test.each([1, 3])("a server that speaks git:// takes a push of %i MB", async (megabytes) => {
  const client = await site.client();
  const name = `daemon-${megabytes}.git`;
  await tinyRepository(join(daemon.root, name));
  const clone = await client.clone(site.url(name, "daemon"));
  await client.git("-C", clone, "checkout", "-q", "-b", "topic");
  const id = await client.commit(clone, "big.bin", randomBytes(megabytes << 20));
  await client.git("-C", clone, "push", "-q", "origin", "topic");
  expect(await direct.git("ls-remote", `${daemon.url}/${name}`, "topic")).toContain(id);
});

test("a server that authorizes by itself takes what its account may push", async () => {
  const client = await site.client();
  const work = client.fresh();
  await client.git("init", "-q", work);
  const id = await client.commit(work, "a.txt", "lite\n");
  await client.git("-C", work, "push", "-q", site.url("project", "lite"), "main:topic");
  expect(await client.git("ls-remote", site.url("project", "lite"))).toContain(`${id}\trefs/heads/topic`);
});

test("all of it is sealed and verifies", async () => {
  expect(await site.seal()).toEqual(SOUND);
});
