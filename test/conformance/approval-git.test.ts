// Pushes that wait for approval, with stock git through a whole node: what was approved is what happens, once, or nothing does.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Approver, approverOf } from "#test/support/approver.ts";
import type { GitClient } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { cli } from "#test/support/steno.ts";

const WHY = "main is looked at by a lead";
const POLICY = `
@id("all") @reason("developers work here")
permit(principal, action, resource) when { principal in Group::"developers" };
@id("main") @hold("leads") @reason("${WHY}")
forbid(principal, action in Action::"git.write", resource is Ref) when { resource.name == "refs/heads/main" };
@id("release") @hold("leads, security") @reason("releases are looked at twice")
forbid(principal, action in Action::"git.write", resource is Ref) when { resource.name like "refs/heads/release/*" };
`;

let site: GitSite;
let bare: string;
let alice: GitClient;
let bob: Approver;
let clone: string;

const lead = async (sub = "bob"): Promise<Approver> =>
  approverOf(site.node, await site.oidc.token({ sub, audience: "steno-console" }));

beforeAll(async () => {
  site = await startGitSite({
    policies: { "all.cedar": POLICY },
    approvals: { hold_seconds: 6 },
    roles: { approver: ["leads", "security"] },
  });
  bare = join(site.server.root, "app.git");
  await tinyRepository(bare);
  alice = await site.client();
  bob = await lead();
  clone = await alice.clone(site.url("app.git"));
});
afterAll(() => site?.stop());

const at = (ref: string): Promise<string> => alice.git("-C", bare, "rev-parse", ref);
/** How often the server was given a push. */
const pushes = (): number =>
  site.tap.passed.filter(({ method, url }) => method === "POST" && url.includes("receive-pack")).length;
const push = (...args: string[]) => alice.attempt("-C", clone, "push", ...args);

describe("a push to main", () => {
  test("waits with live lines, shows the approver what it is, and is released without another push", async () => {
    site.tap.passed.length = 0;
    const commit = await alice.commit(clone, "approved.txt", "approved\n", "Something to approve");
    const pushing = push("-o", "reason=ticket 17", "origin", "HEAD:main");
    const { approval } = await bob.waiting();
    const view = await bob.show(approval);
    expect(view).toMatchObject({
      principal: { subject: "alice" },
      reason: WHY,
      justification: "ticket 17",
      operation: { kind: "git.push", updates: [{ ref: "refs/heads/main", new: commit }] },
    });
    const shown = JSON.stringify(view.shown);
    expect(shown).toContain("Something to approve");
    expect(shown).toContain("+approved");
    expect(pushes()).toBe(0);
    expect((await bob.say(approval, "comment", "looking")).status).toBe(200);
    expect((await bob.say(approval, "approve", "fine")).status).toBe(200);
    const { code, stderr } = await pushing;
    expect(stderr).toContain(`remote: ${WHY}`);
    expect(stderr).toContain(`remote: waiting for approval by leads: ${approval}`);
    expect(stderr).toContain("remote: Bob Baker: looking");
    expect(stderr).toContain("remote: approved by Bob Baker: fine");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(await at("main")).toBe(commit);
    expect(pushes()).toBe(1);
    // Twice is too late.
    expect(await bob.say(approval, "approve")).toMatchObject({ status: 409 });
  });

  test("is denied: every ref says by whom and why, and the server was never asked", async () => {
    site.tap.passed.length = 0;
    const before = await at("main");
    await alice.commit(clone, "denied.txt", "denied\n");
    const pushing = push("origin", "HEAD:main");
    const { approval } = await bob.waiting();
    await bob.say(approval, "deny", "not today");
    const { code, stderr } = await pushing;
    expect(code).toBe(1);
    expect(stderr).toContain(
      `! [remote rejected] HEAD -> main (denied by Bob Baker: not today (${approval}))`,
    );
    expect(await at("main")).toBe(before);
    expect(pushes()).toBe(0);
  });

  test("is told to come again after a while, and passes at once when it does", async () => {
    site.tap.passed.length = 0;
    const commit = await alice.commit(clone, "later.txt", "later\n");
    const { code, stderr } = await push("origin", "HEAD:main");
    expect(code).toBe(1);
    const [, approval = ""] = /pending approval (apr_\w+)/.exec(stderr) ?? [];
    expect(stderr).toContain(`! [remote rejected] HEAD -> main (pending approval ${approval}`);
    expect(pushes()).toBe(0);
    expect((await bob.say(approval, "approve")).status).toBe(200);
    // Another content first: it is not what was approved.
    const other = await alice.commit(clone, "other.txt", "other\n");
    const pushing = push("origin", "HEAD:main");
    const asked = await bob.waiting();
    expect(asked.approval).not.toBe(approval);
    await bob.say(asked.approval, "deny");
    expect((await pushing).code).toBe(1);
    expect(pushes()).toBe(0);
    const again = await push("origin", `${commit}:main`);
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr).not.toContain("waiting for approval");
    expect(await at("main")).toBe(commit);
    expect(other).not.toBe(commit);
    expect(pushes()).toBe(1);
  });

  test("whose client hangs up is void: nobody can approve it, and nothing is sent", async () => {
    site.tap.passed.length = 0;
    const before = await at("main");
    await alice.commit(clone, "gone.txt", "gone\n");
    const child = alice.start("-C", clone, "push", "origin", "HEAD:main");
    const { approval } = await bob.waiting();
    await child.stop();
    await expect
      .poll(async () => (await bob.list()).find((one) => one.approval === approval)?.state)
      .toBe("void");
    expect(await bob.say(approval, "approve")).toMatchObject({ status: 409 });
    expect(await at("main")).toBe(before);
    expect(pushes()).toBe(0);
  });

  test("that the server itself refuses is not pushed, and git says what the server said", async () => {
    const hook = join(bare, "hooks/update");
    mkdirSync(join(bare, "hooks"), { recursive: true });
    writeFileSync(hook, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const before = await at("main");
    await alice.commit(clone, "hook.txt", "hook\n");
    const pushing = push("origin", "HEAD:main");
    const { approval } = await bob.waiting();
    await bob.say(approval, "approve");
    const { code, stderr } = await pushing;
    rmSync(hook);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("(hook declined)") });
    expect(await at("main")).toBe(before);
    await expect
      .poll(async () => (await bob.show(approval)).events.map(({ step }) => step))
      .toContain("outcome");
  });

  test("can be looked at and denied on the command line", async () => {
    await alice.commit(clone, "cli.txt", "cli\n");
    const pushing = push("origin", "HEAD:main");
    const { approval } = await bob.waiting();
    const env = {
      ...process.env,
      STENO_CONSOLE: site.node.console(),
      STENO_CONSOLE_TOKEN: await site.oidc.token({ sub: "bob", audience: "steno-console" }),
    };
    const steno = (...args: string[]) => cli(["approvals", ...args], site.node.config, env);
    expect((await steno("list")).out).toMatch(
      new RegExp(`^${approval}  pending .*alice .*update refs/heads/main`, "m"),
    );
    expect((await steno("show", approval)).out).toContain("+cli");
    expect(await steno("deny", approval, "--comment", "no")).toMatchObject({ code: 0 });
    expect(await steno("approve", approval)).toMatchObject({
      code: 1,
      err: expect.stringContaining("is denied"),
    });
    expect((await pushing).stderr).toContain("denied by Bob Baker: no");
  });

  test("is refused when the ref moved while it waited, and says so", async () => {
    await alice.git("-C", clone, "fetch", "-q", "origin");
    await alice.git("-C", clone, "reset", "-q", "--hard", "origin/main");
    await alice.commit(clone, "moved.txt", "moved\n");
    site.tap.passed.length = 0;
    const pushing = push("origin", "HEAD:main");
    const { approval } = await bob.waiting();
    const parent = await at("main~1");
    await alice.git("-C", bare, "update-ref", "refs/heads/main", parent);
    await bob.say(approval, "approve");
    const { code, stderr } = await pushing;
    expect(code).toBe(1);
    expect(stderr).toContain(
      "refs/heads/main moved while the push waited for approval: fetch, and push again",
    );
    expect(await at("main")).toBe(parent);
    expect(pushes()).toBe(0);
  });
});

test("nobody approves their own push, also not in another session; a developer, an auditor and an agent's token do not either", async () => {
  const clientOfBob = await site.client({ sub: "bob" });
  const own = await clientOfBob.clone(site.url("app.git"));
  await clientOfBob.commit(own, "own.txt", "own\n");
  const pushing = clientOfBob.start("-C", own, "push", "origin", "HEAD:main");
  const { approval } = await bob.waiting();
  expect(await bob.say(approval, "approve")).toMatchObject({
    status: 403,
    body: { detail: expect.stringContaining("nobody decides on what they asked for themselves") },
  });
  const [alices, carols, daves] = await Promise.all(["alice", "carol", "dave"].map(lead));
  expect(await carols?.say(approval, "approve")).toMatchObject({
    status: 403,
    body: { detail: "this takes a member of leads" },
  });
  for (const other of [alices, daves]) expect((await other?.say(approval, "approve"))?.status).toBe(403);
  const agents = approverOf(site.node, await site.token("bob"));
  expect((await agents.say(approval, "approve")).status).toBe(401);
  await pushing.stop();
  await expect.poll(async () => (await bob.show(approval)).state).toBe("void");
});

test("two groups are two people: the second of them releases it", async () => {
  await alice.git("-C", clone, "fetch", "-q", "origin");
  await alice.git("-C", clone, "checkout", "-q", "-B", "two", "origin/main");
  const commit = await alice.commit(clone, "two.txt", "two\n");
  const pushing = push("origin", "HEAD:refs/heads/release/1");
  const { approval } = await bob.waiting();
  expect((await bob.say(approval, "approve")).body.state).toBe("pending");
  expect(await bob.say(approval, "approve")).toMatchObject({ status: 409 });
  expect((await (await lead("carol")).say(approval, "approve")).body.state).toBe("approved");
  expect(await pushing).toMatchObject({ code: 0 });
  expect(await at("release/1")).toBe(commit);
});

test("the record is sound, and has every step", async () => {
  expect(await site.seal()).toEqual(SOUND);
});
