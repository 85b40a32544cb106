// Secrets in pushes, with stock git through a whole node: what is refused, what git says of it, and what the record has.
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type GitClient, refsOf } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";

const KEY = `AKIA${"IOSFODNN7EXAMPLE"}`;
const OLD = `AKIA${"QQQQ2345QQQQ6777"}`;
const WHY =
  "there is a secret in this push: take it out of every commit, and revoke it if anybody else has seen it";

let site: GitSite;
let bare: string;
let client: GitClient;
let clone: string;

beforeAll(async () => {
  site = await startGitSite();
  bare = join(site.server.root, "app.git");
  await tinyRepository(bare);
  const direct = site.direct();
  const origin = await direct.clone(site.directUrl("app.git"));
  await direct.commit(origin, "legacy.ini", `[aws]\nkey = ${OLD}\nregion = eu\n`);
  await direct.git("-C", origin, "push", "-q", "origin", "HEAD:main");
  client = await site.client();
});
beforeEach(async () => {
  clone = await client.clone(site.url("app.git"));
});
afterAll(() => site?.stop());

async function refused(branch: string): Promise<string> {
  const before = await refsOf(client, bare);
  site.tap.passed.length = 0;
  const { code, stdout, stderr } = await client.attempt(
    "-C",
    clone,
    "push",
    "origin",
    `HEAD:refs/heads/${branch}`,
  );
  expect(code).toBe(1);
  const sent = site.tap.passed.filter(({ method, url }) => method === "POST" && url.includes("receive-pack"));
  expect(sent).toEqual([]);
  expect(await refsOf(client, bare)).toEqual(before);
  return `${stdout}${stderr}`;
}

test("a push with a key is refused naming file and rule, not the key; without it the same push passes", async () => {
  await client.commit(clone, "deploy/prod.env", `AWS_KEY=${KEY}\nREGION=eu\n`);
  const told = await refused("keys");
  expect(told).toContain(`${WHY}: found in deploy/prod.env (secrets: aws-access-key-id)`);
  expect(told).not.toContain(KEY);
  await client.commit(clone, "deploy/prod.env", "REGION=eu\n");
  expect(await refused("keys")).toContain("found in deploy/prod.env");
  await client.git("-C", clone, "reset", "-q", "--soft", "HEAD~2");
  await client.git("-C", clone, "commit", "-q", "-m", "Configure");
  await client.git("-C", clone, "push", "-q", "origin", "HEAD:refs/heads/keys");
});

test("a key in the message of a commit is refused", async () => {
  const id = await client.commit(clone, "a.txt", "a\n", `Use ${KEY}`);
  expect(await refused("message")).toContain(
    `found in object ${id.slice(0, 12)} (secrets: aws-access-key-id)`,
  );
});

test("a key behind megabytes that are spooled is found", async () => {
  await client.commit(clone, "big.bin", randomBytes(6 << 20));
  await client.commit(clone, "z.env", `KEY=${KEY}\n`);
  expect(await refused("big")).toContain("found in z.env");
});

test("a key the server has already does not stop changes around it", async () => {
  await client.commit(clone, "legacy.ini", `# moved\n[aws]\nregion = us\nkey = ${OLD}\n`);
  await client.git("-C", clone, "push", "-q", "origin", "HEAD:refs/heads/legacy");
});

test("the record says where each was, and no line of it has the key or its plain digest", async () => {
  expect(await site.seal()).toEqual(SOUND);
  const { sessions, exchanges } = await site.recording();
  const frames = [...sessions.values()].flat().filter(({ k }) => k !== "data");
  const lines = JSON.stringify(frames);
  const plain = [KEY, OLD].map((key) => createHash("sha256").update(key).digest("hex"));
  expect([KEY, OLD, ...plain].filter((text) => lines.includes(text))).toEqual([]);
  const found = [...exchanges.values()].flatMap(({ git, decision }) =>
    git.flatMap(({ findings }) =>
      (findings?.found ?? []).map(({ path, off, len, digest }) => ({
        path,
        off,
        len,
        digest,
        verdict: decision?.verdict,
      })),
    ),
  );
  expect(found.map(({ path }) => path)).toEqual(["deploy/prod.env", "deploy/prod.env", undefined, "z.env"]);
  expect(found[0]).toMatchObject({ off: 8, len: 20, verdict: "deny" });
  expect(new Set(found.map(({ digest }) => digest)).size).toBe(1);
  expect(lines.includes("+AWS_KEY=[masked:secrets]")).toBe(true);
});
