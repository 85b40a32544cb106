// Reading through a whole node with stock git: what arrives is what the git server itself would have given.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contentsOf, type GitClient, refsOf } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { type GitDaemon, startGitDaemon } from "#test/support/servers/git-daemon.ts";
import { type GitoliteServer, startGitolite } from "#test/support/servers/gitolite.ts";
import { generateRepository, tinyRepository } from "#test/support/servers/repository.ts";
import { header } from "#test/support/tap.ts";

let site: GitSite;
let daemon: GitDaemon;
let gitolite: GitoliteServer;
let direct: GitClient;
/** Where a history is made that the served repositories get. */
let source: string;

beforeAll(async () => {
  [daemon, gitolite] = await Promise.all([startGitDaemon(), startGitolite()]);
  site = await startGitSite({
    connections: () => [
      { name: "daemon", kind: "git", upstream: daemon.url },
      { name: "lite", kind: "git", upstream: gitolite.url, credential: "env:READER" },
    ],
    env: { READER: `${gitolite.reader.user}:${gitolite.reader.password}` },
  });
  direct = site.direct();
  source = join(direct.home, "source");
  await tinyRepository(join(site.server.root, "app.git"));
  await direct.git("clone", "-q", site.directUrl("app.git"), source);
  await tinyRepository(join(daemon.root, "app.git"));
  const lead = gitolite.url.replace("//", `//${gitolite.lead.user}:${gitolite.lead.password}@`);
  await direct.git("-C", source, "push", "-q", `${lead}/project`, "main", "v1.0");
});
afterAll(async () => {
  await site?.stop();
  await Promise.all([daemon?.stop(), gitolite?.stop()]);
});

describe.each([0, 2] as const)("protocol v%i", (protocol) => {
  let client: GitClient;
  beforeAll(async () => {
    client = await site.client({ protocol });
  });
  const published = async (path: string, content: string | Uint8Array): Promise<string> => {
    const id = await direct.commit(source, path, content);
    await direct.git("-C", source, "push", "-q", site.directUrl("app.git"), "HEAD:main");
    return id;
  };

  test("ls-remote lists the server's refs, peeled tags and HEAD as the server does", async () => {
    const through = await client.git("ls-remote", "--symref", site.url("app.git"));
    expect(through).toBe(await direct.git("ls-remote", "--symref", site.directUrl("app.git")));
    expect(through).toContain("refs/tags/v1.0^{}");
  });

  test("a clone has every object and ref of a direct clone, and is sound", async () => {
    const through = await client.clone(site.url("app.git"));
    const straight = await direct.clone(site.directUrl("app.git"));
    expect(await contentsOf(client, through)).toEqual(await contentsOf(direct, straight));
    expect(await refsOf(client, through)).toEqual(await refsOf(direct, straight));
  });

  test("a fetch brings the commits made since", async () => {
    const clone = await client.clone(site.url("app.git"));
    const id = await published(`new-${protocol}.txt`, "new\n");
    await client.git("-C", clone, "fetch", "-q");
    expect(await client.git("-C", clone, "rev-parse", "origin/main")).toBe(id);
    await client.git("-C", clone, "fsck", "--strict");
  });

  test("a shallow clone is as deep as asked, and deepens to the whole history", async () => {
    const clone = await client.clone(site.url("app.git"), "--depth=1", "--no-single-branch");
    expect(await client.git("-C", clone, "rev-list", "--count", "origin/main")).toBe("1");
    await client.git("-C", clone, "fetch", "-q", "--deepen=1");
    const deeper = await direct.clone(site.directUrl("app.git"), "--depth=1", "--no-single-branch");
    await direct.git("-C", deeper, "fetch", "-q", "--deepen=1");
    expect(await contentsOf(client, clone)).toEqual(await contentsOf(direct, deeper));
    await client.git("-C", clone, "fetch", "-q", "--unshallow");
    const straight = await direct.clone(site.directUrl("app.git"));
    expect(await contentsOf(client, clone)).toEqual(await contentsOf(direct, straight));
  });

  test("a partial clone leaves blobs out and fetches them when they are needed", async () => {
    const clone = await client.clone(site.url("app.git"), "--filter=blob:none", "--no-checkout");
    const missing = () => client.git("-C", clone, "rev-list", "--objects", "--all", "--missing=print");
    expect(await missing()).toMatch(/^\?/m);
    expect(await client.git("-C", clone, "cat-file", "-p", "HEAD:README.md")).toContain("# Tiny");
    await client.git("-C", clone, "log", "-p", "--all");
    expect(await missing()).not.toMatch(/^\?/m);
  });

  test("a single-branch clone and a clone without tags have what they ask for and no more", async () => {
    const one = await client.clone(site.url("app.git"), "--single-branch", "--branch=feature/greeting");
    expect((await refsOf(client, one)).join()).not.toContain("origin/main");
    const none = await client.clone(site.url("app.git"), "--no-tags");
    expect(await client.git("-C", none, "tag")).toBe("");
    await client.git("-C", none, "fetch", "-q", "--tags");
    expect(await client.git("-C", none, "cat-file", "-t", "v1.0")).toBe("tag");
  });

  test("a server that speaks git:// is cloned from as one over HTTP", async () => {
    const through = await client.clone(site.url("app.git", "daemon"));
    const straight = await direct.clone(`${daemon.url}/app.git`);
    expect(await contentsOf(client, through)).toEqual(await contentsOf(direct, straight));
    expect(await refsOf(client, through)).toEqual(await refsOf(direct, straight));
    await client.git("-C", through, "fetch", "-q", "--depth=1", "origin", "main");
  });

  test("a server that authorizes by itself is read with the gateway's account", async () => {
    const through = await client.clone(site.url("project", "lite"));
    expect(await client.git("-C", through, "rev-list", "--count", "origin/main")).toBe("3");
  });

  test("a repository with SHA-256 object ids is cloned", async () => {
    const name = `wide-${protocol}.git`;
    const bare = join(site.server.root, name);
    await direct.git("init", "-q", "--bare", "--object-format=sha256", bare);
    const work = direct.fresh();
    await direct.git("init", "-q", "--object-format=sha256", work);
    const id = await direct.commit(work, "a.txt", "wide\n");
    await direct.git("-C", work, "push", "-q", bare, "main");
    const clone = await client.clone(site.url(name));
    expect(await client.git("-C", clone, "rev-parse", "HEAD")).toBe(id);
    expect(id).toHaveLength(64);
  });

  test("a negotiation with thousands of haves goes out compressed and comes to the right pack", async () => {
    const clone = await client.clone(site.url("app.git"));
    const script = Array.from(
      { length: 3000 },
      (_, i) =>
        `commit refs/heads/own${i % 40}\ncommitter A <a@b> ${1_800_000_000 + i} +0000\ndata 2\n${i % 10}\n\n`,
    ).join("");
    writeFileSync(join(client.home, "import"), script);
    await client.git("-c", "alias.take=!git fast-import --quiet < ~/import", "-C", clone, "take");
    const id = await published(`after-${protocol}.txt`, "after\n");
    site.tap.passed.length = 0;
    await client.git("-C", clone, "fetch", "-q");
    expect(await client.git("-C", clone, "rev-parse", "origin/main")).toBe(id);
    const compressed = site.tap.passed.filter(
      ({ headers }) => header(headers, "content-encoding") === "gzip",
    );
    expect(compressed.length).toBeGreaterThan(0);
    await client.git("-C", clone, "fsck", "--strict", "--no-dangling");
  });
});

test("a fetch of more than 10 MB arrives whole", async () => {
  await generateRepository(join(site.server.root, "big.git"), { megabytes: 14, commits: 12 });
  const client = await site.client();
  site.tap.passed.length = 0;
  const through = await client.clone(site.url("big.git"));
  const straight = await direct.clone(site.directUrl("big.git"));
  expect(await contentsOf(client, through)).toEqual(await contentsOf(direct, straight));
  expect(Math.max(...site.tap.passed.map(({ answer }) => answer().byteLength))).toBeGreaterThan(10_000_000);
});

test.each(["helper", "userinfo", "header"] as const)("the token may come by %s", async (carrier) => {
  const client = await site.client({ carrier });
  expect(await client.git("ls-remote", client.url(site.url("app.git")), "HEAD")).toContain("HEAD");
});

test("all of it is sealed and verifies", async () => {
  expect(await site.seal()).toEqual(SOUND);
});
