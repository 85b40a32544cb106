// What policy denies, with stock git: the reason is on the screen, the exit code says so, and the upstream never knew.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GitClient } from "#test/support/git-client.ts";
import { refsOf } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";

const FORCE = "force pushes are forbidden: published history stays; push a new branch instead";
const MAIN = "main changes by review only: push a branch and ask for a merge";
const ACROSS = "not changed, because another ref of this push was refused";

let site: GitSite;
let bare: string;
let before: readonly string[];

beforeAll(async () => {
  site = await startGitSite();
  bare = join(site.server.root, "app.git");
  await tinyRepository(bare);
  before = await refsOf(site.direct(), bare);
});
afterAll(() => site?.stop());

/** How often the server was asked to take a push. */
const pushes = (): number =>
  site.tap.passed.filter(({ method, url }) => method === "POST" && url.includes("receive-pack")).length;

describe.each([0, 2] as const)("protocol v%i configured", (protocol) => {
  let client: GitClient;
  let clone: string;
  beforeAll(async () => {
    client = await site.client({ protocol });
    clone = await client.clone(site.url("app.git"));
    await client.git("-C", clone, "checkout", "-q", "-b", "work");
    await client.commit(clone, "work.txt", `work ${protocol}\n`);
  });

  /** Pushes and is refused: nothing changed, nothing was sent on, and git says so in every way it can. */
  async function refused(...args: string[]): Promise<string> {
    site.tap.passed.length = 0;
    const { code, stdout, stderr } = await client.attempt("-C", clone, "push", ...args);
    expect(code).toBe(1);
    const told = `${stdout}${stderr}`;
    expect(told).not.toContain("Everything up-to-date");
    expect(told).toContain("error: failed to push some refs to");
    expect(pushes()).toBe(0);
    expect(await refsOf(client, bare)).toEqual(before);
    return told;
  }
  const rejected = (from: string, to: string, why: string) =>
    ` ! [remote rejected] ${from} -> ${to} (${why})`;

  test("a push to main says why above the report and in it", async () => {
    const told = await refused("origin", "work:main");
    expect(told).toMatch(new RegExp(`^remote: ${MAIN} *$`, "m"));
    expect(told).toContain(rejected("work", "main", MAIN));
  });

  test("a forced push is refused whether it is called so or not", async () => {
    await client.git("-C", clone, "branch", "-f", "other", "origin/main~1");
    for (const args of [
      ["--force", "origin", "other:feature/greeting"],
      ["origin", "+work:feature/greeting"],
    ])
      expect(await refused(...args)).toContain(FORCE);
    expect(await refused("--force-with-lease", "origin", "other:feature/greeting")).toContain(FORCE);
  });

  test("main cannot be deleted", async () => {
    expect(await refused("origin", ":main")).toContain(" ! [remote rejected] main (main cannot be deleted)");
  });

  test("one denied ref among several refuses them all, each with its reason", async () => {
    const told = await refused("origin", "work:refs/heads/fine", "work:main", "+work:feature/greeting");
    expect(told).toContain(rejected("work", "fine", ACROSS));
    expect(told).toContain(rejected("work", "main", MAIN));
    expect(told).toContain(rejected("work", "feature/greeting", FORCE));
  });

  test("an atomic push with a denied ref is refused as a whole", async () => {
    const told = await refused("--atomic", "origin", "work:refs/heads/fine", "work:main");
    expect(told).toContain(rejected("work", "main", MAIN));
    expect(told).toMatch(/! \[remote rejected\] work -> fine \(/);
  });

  test("--porcelain lists the refusal where a program reads it", async () => {
    const told = await refused("--porcelain", "origin", "work:main");
    expect(told).toContain(`!\trefs/heads/work:refs/heads/main\t[remote rejected] (${MAIN})`);
  });

  test("-q keeps the reason", async () => {
    const told = await refused("-q", "origin", "work:main");
    expect(told).toMatch(new RegExp(`^remote: ${MAIN} *$`, "m"));
    expect(told).toContain(rejected("work", "main", MAIN));
  });

  test("a push with options and one of a tag over a tag are refused in the same words", async () => {
    expect(await refused("-o", "ci.skip", "origin", "work:main")).toContain(rejected("work", "main", MAIN));
    expect(await refused("--force", "origin", "work:refs/tags/v1.0")).toContain(FORCE);
  });

  test("a workflow among the changed files is refused, also when the next commit takes it back", async () => {
    await client.git("-C", clone, "checkout", "-q", "-B", "flows", "work");
    await client.commit(clone, ".github/workflows/ci.yml", "on: push\n");
    const why = "workflows run with the repository's secrets: a lead changes them in person";
    expect(await refused("origin", "flows")).toContain(rejected("flows", "flows", why));
    await client.git("-C", clone, "rm", "-q", ".github/workflows/ci.yml");
    await client.git("-C", clone, "commit", "-q", "-m", "never mind");
    expect(await refused("origin", "flows")).toContain(rejected("flows", "flows", why));
  });

  test.each([2, 21])(
    "a denied push of %i MB is read to its end and refused in the same words",
    async (megabytes) => {
      await client.git("-C", clone, "checkout", "-q", "-B", "big", "work");
      await client.commit(clone, "big.bin", randomBytes(megabytes << 20));
      const told = await refused("origin", "big:main");
      expect(told).toContain(rejected("big", "main", MAIN));
    },
  );
});

describe("a stranger without groups", () => {
  test.each([0, 2] as const)("reads nothing over protocol v%i and is told so", async (protocol) => {
    const stranger = await site.client({ sub: "carol", protocol });
    site.tap.passed.length = 0;
    for (const args of [
      ["ls-remote", site.url("app.git")],
      ["clone", site.url("app.git"), stranger.fresh()],
    ]) {
      const { code, stderr } = await stranger.attempt(...args);
      expect(code).toBe(128);
      expect(stderr).toContain("fatal: remote error: ");
    }
    expect(site.tap.passed).toEqual([]);
  });

  test("pushes nothing and is told so before anything is sent", async () => {
    const stranger = await site.client({ sub: "carol" });
    const work = stranger.fresh();
    await stranger.git("init", "-q", work);
    await stranger.commit(work, "a.txt", "mine\n");
    site.tap.passed.length = 0;
    const { code, stderr } = await stranger.attempt("-C", work, "push", site.url("app.git"), "main:topic");
    expect(code).toBe(128);
    expect(stderr).toContain("fatal: remote error: ");
    expect(stderr).not.toContain("Everything up-to-date");
    expect(site.tap.passed).toEqual([]);
  });
});

test("an agent that acts for a lead may not do what the lead may do in person", async () => {
  const token = await site.oidc.token({
    sub: "bob",
    audience: "steno",
    claims: { act: { sub: "cursor-1" } },
  });
  const agent = await site.client({ sub: "bob" });
  agent.carry(token);
  const clone = await agent.clone(site.url("app.git"));
  await agent.commit(clone, "agent.txt", "agent\n");
  site.tap.passed.length = 0;
  const { code, stderr } = await agent.attempt("-C", clone, "push", "origin", "main");
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(MAIN) });
  expect(pushes()).toBe(0);
  expect(await refsOf(agent, bare)).toEqual(before);
});

test("all of it is sealed and verifies, and every denial is counted", async () => {
  expect(await site.seal()).toEqual(SOUND);
  const { exchanges } = await site.recording();
  const denied = [...exchanges.values()].filter(({ decision }) => decision?.verdict === "deny");
  expect(denied.length).toBeGreaterThan(20);
  for (const { request, response, sent } of denied) {
    expect(response?.refusal?.code).toBe("denied");
    expect(sent.end).toBe(request.method === "POST" ? "refused" : undefined);
  }
});
