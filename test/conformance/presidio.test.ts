// An analyzer of personal data beside the detectors: policies deny by what it finds in requests and pushes, and without it nothing passes.
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { GitClient } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { type Presidio, startPresidio } from "#test/support/presidio.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { startWeb, type WebServer } from "#test/support/servers/web.ts";

const POLICY = `
@id("all") permit (principal, action, resource);
@id("names") @reason("names of people stay here") forbid (principal, action, resource)
when { context has findings && context.findings.contains("presidio:PERSON") };
@id("unseen") @reason("not all of it was looked into") forbid (principal, action in [Action::"http.request", Action::"git.write"], resource)
when { context has inspected && !context.inspected };
`;

let presidio: Presidio;
let web: WebServer;
let site: GitSite;
let token: string;
let client: GitClient;

beforeAll(async () => {
  [presidio, web] = await Promise.all([startPresidio(), startWeb()]);
  site = await startGitSite({
    mask: { presidio: { url: presidio.url, max_characters: 4_000, timeout_seconds: 1 } },
    policies: { "all.cedar": POLICY },
    connections: () => [{ name: "web", kind: "http", upstream: `${web.url}/api` }],
  });
  const bare = join(site.server.root, "app.git");
  await tinyRepository(bare);
  const direct = site.direct();
  const origin = await direct.clone(site.directUrl("app.git"));
  await direct.commit(origin, "AUTHORS", "Grace Hopper\n");
  await direct.git("-C", origin, "push", "-q", "origin", "HEAD:main");
  token = await site.token();
  client = await site.client();
});
beforeEach(() => {
  presidio.wrong = undefined;
});
afterAll(async () => {
  await site?.stop();
  await Promise.all([web?.stop(), presidio?.stop()]);
});

async function post(body: string, type = "application/json"): Promise<readonly [number, string]> {
  const response = await fetch(`${site.node.gateway()}/http/web/notes`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": type },
    body,
  });
  return [
    response.status,
    response.headers.get("content-type")?.includes("json")
      ? (await response.json()).detail
      : await response.text(),
  ];
}

test("a request that names somebody is denied and never leaves; one that does not passes", async () => {
  const seen = web.seen.length;
  expect(await post(JSON.stringify({ note: "🦉 call Ada Lovelace" }))).toEqual([
    403,
    "names of people stay here",
  ]);
  expect(await post("to=Ada+Lovelace", "application/x-www-form-urlencoded")).toEqual([
    403,
    "names of people stay here",
  ]);
  expect(web.seen).toHaveLength(seen);
  expect((await post(JSON.stringify({ note: "call the office in Zürich" })))[0]).toBe(200);
  expect(web.seen).toHaveLength(seen + 1);
});

test("more text than it may be asked about counts as not looked into", async () => {
  expect(await post(JSON.stringify({ note: "words ".repeat(1_000) }))).toEqual([
    403,
    "not all of it was looked into",
  ]);
});

test.each([
  ["answers with an error", { status: 500, body: "" }],
  ["answers nonsense", { status: 200, body: "[{}]" }],
  ["does not answer", "hang"],
] as const)("while the analyzer %s nothing passes, and afterwards it does", async (how, wrong) => {
  const seen = web.seen.length;
  const note = JSON.stringify({ note: `while it ${how}` });
  presidio.wrong = wrong;
  const [status, detail] = await post(note);
  expect(status).toBe(503);
  expect(detail).toContain("the analyzer");
  expect(web.seen).toHaveLength(seen);
  presidio.wrong = undefined;
  expect((await post(note))[0]).toBe(200);
});

test("a push that adds somebody's name is refused with the file; a name the file had does not stop it", async () => {
  const clone = await client.clone(site.url("app.git"));
  const push = (branch: string) => client.attempt("-C", clone, "push", "origin", `HEAD:refs/heads/${branch}`);
  await client.commit(clone, "AUTHORS", "Our authors:\nGrace Hopper\n");
  expect((await push("title")).code).toBe(0);
  await client.commit(clone, "AUTHORS", "Our authors:\nGrace Hopper\nAda Lovelace\n");
  const { code, stderr } = await push("author");
  expect(code).toBe(1);
  expect(stderr).toContain("names of people stay here: found in AUTHORS (presidio: PERSON)");
});

test("a push with more text than it may be asked about counts as not looked into", async () => {
  const clone = await client.clone(site.url("app.git"));
  await client.commit(clone, "long.txt", "words ".repeat(1_000));
  const { code, stderr } = await client.attempt("-C", clone, "push", "origin", "HEAD:refs/heads/long");
  expect([code, stderr]).toEqual([1, expect.stringContaining("not all of it was looked into")]);
});

test("places and digests are in the record, names are not, and all of it verifies", async () => {
  expect(await site.seal()).toEqual(SOUND);
  const { sessions } = await site.recording();
  const frames = [...sessions.values()].flat();
  const found = frames.flatMap((frame) => (frame.k === "git" ? (frame.findings?.found ?? []) : []));
  expect(found).toContainEqual(
    expect.objectContaining({ detector: "presidio", rule: "PERSON", path: "AUTHORS", off: 26, len: 12 }),
  );
  const decisions = JSON.stringify(frames.filter(({ k }) => k === "decision"));
  expect(decisions).toContain("presidio:PERSON");
  expect(decisions).not.toContain("Lovelace");
});
