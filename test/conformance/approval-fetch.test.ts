// Fetches that wait for approval, with stock git through a whole node: nothing is read before, and one approval is for one fetch.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Approver, approverOf } from "#test/support/approver.ts";
import type { GitClient } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";

const POLICY = `
@id("all") @reason("developers work here")
permit(principal, action, resource) when { principal in Group::"developers" };
@id("secret") @hold("leads") @reason("a lead lets people read this")
forbid(principal, action == Action::"git.fetch", resource is Repository) when { resource.path like "secret*" };
`;

let site: GitSite;
let alice: GitClient;
let bob: Approver;
/** The repository on the server, a name of its own for each test: what one let through is no other's. */
let name: string;
let n = 0;

beforeAll(async () => {
  site = await startGitSite({ policies: { "all.cedar": POLICY }, approvals: { hold_seconds: 8 } });
  alice = await site.client();
  bob = approverOf(site.node, await site.oidc.token({ sub: "bob", audience: "steno-console" }));
});
beforeEach(async () => {
  n += 1;
  name = `secret-${n}.git`;
  await tinyRepository(join(site.server.root, name));
  site.tap.passed.length = 0;
});
afterAll(() => site?.stop());

/** How many packs the server was asked for. */
const fetches = (): number =>
  site.tap.passed.filter(({ method, url, body }) => {
    const asked = body().toString("latin1");
    return method === "POST" && url.includes("git-upload-pack") && !asked.includes("command=ls-refs");
  }).length;
const clone = (into: string, ...args: string[]) => alice.attempt("clone", ...args, site.url(name), into);

test("a clone waits with live lines, and goes on when it is approved", async () => {
  const into = alice.fresh();
  const cloning = clone(into);
  const { approval } = await bob.waiting();
  expect(await bob.show(approval)).toMatchObject({
    operation: { kind: "git.fetch", repository: name.slice(0, -4) },
  });
  expect(fetches()).toBe(0);
  await bob.say(approval, "comment", "a moment");
  await bob.say(approval, "approve", "welcome");
  const { code, stderr } = await cloning;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stderr).toContain("remote: a lead lets people read this");
  expect(stderr).toContain(`remote: waiting for approval by leads: ${approval}`);
  expect(stderr).toContain("remote: Bob Baker: a moment");
  expect(stderr).toContain("remote: approved by Bob Baker: welcome");
  expect(await alice.git("-C", into, "fsck")).not.toContain("missing");
  expect(fetches()).toBe(1);
});

test("a clone that is denied says by whom and why, and the server was never asked for a pack", async () => {
  const into = alice.fresh();
  const cloning = clone(into);
  const { approval } = await bob.waiting();
  await bob.say(approval, "deny", "not for this");
  const { code, stderr } = await cloning;
  expect(code).not.toBe(0);
  expect(stderr).toContain("denied by Bob Baker: not for this");
  expect(fetches()).toBe(0);
  expect(existsSync(into) ? readdirSync(into) : []).toEqual([]);
});

test("a clone that nobody lets in for a while is told to come again, and does at once when it is approved", async () => {
  const { code, stderr } = await clone(alice.fresh());
  expect(code).not.toBe(0);
  expect(stderr).toContain("send the same again when it is approved");
  const { approval } = await bob.waiting();
  await bob.say(approval, "approve");
  expect(await clone(alice.fresh())).toMatchObject({ code: 0 });
});

test("a fetch of several rounds waits in silence, and one approval is for all of them", async () => {
  const bare = join(site.server.root, name);
  const theirs = await site.direct().clone(site.directUrl(name));
  const ours = alice.fresh();
  const cloning = clone(ours);
  await bob.say((await bob.waiting()).approval, "approve");
  expect(await cloning).toMatchObject({ code: 0 });
  // So much that is only here, that git has to ask more than once what both have.
  for (let i = 0; i < 60; i++)
    await alice.git("-C", ours, "commit", "-q", "--allow-empty", "-m", `mine ${i}`);
  const direct = site.direct();
  await direct.commit(theirs, "theirs.txt", "theirs\n");
  await direct.git("-C", theirs, "push", "-q", "origin", "HEAD:main");
  site.tap.passed.length = 0;
  const fetching = alice.attempt("-C", ours, "fetch", "-q", "origin");
  const { approval } = await bob.waiting();
  await bob.say(approval, "approve");
  expect(await fetching).toMatchObject({ code: 0 });
  expect(fetches()).toBeGreaterThan(1);
  const main = await direct.git("-C", bare, "rev-parse", "main");
  expect(await alice.git("-C", ours, "rev-parse", "origin/main")).toBe(main);
  expect((await bob.list()).filter(({ state }) => state === "pending")).toEqual([]);
});

test("a shallow clone waits in silence, and so does git's old protocol", async () => {
  const shallow = clone(alice.fresh(), "--depth", "1");
  await bob.say((await bob.waiting()).approval, "approve");
  expect(await shallow).toMatchObject({ code: 0 });
  const old = await site.client({ protocol: 0 });
  const cloning = old.attempt("clone", site.url(name), old.fresh());
  await bob.say((await bob.waiting()).approval, "approve");
  expect(await cloning).toMatchObject({ code: 0 });
});

test("the record is sound, and has every step", async () => {
  expect(await site.seal()).toEqual(SOUND);
  const { sessions } = await site.recording();
  const steps = [...sessions.values()]
    .flat()
    .flatMap((frame) => (frame.k === "approval" ? [frame.step] : []));
  for (const step of ["approve", "deny", "comment", "release", "outcome"]) expect(steps).toContain(step);
});
