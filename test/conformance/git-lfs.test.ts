// Git LFS with the stock client through a whole node: what arrives is what was sent, and nothing goes around the record.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { GitClient } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { until } from "#test/support/servers/children.ts";
import { type LfsServer, startLfs } from "#test/support/servers/lfs.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";

const FILTER = `[filter "lfs"]
\tclean = git-lfs clean -- %f
\tsmudge = git-lfs smudge -- %f
\tprocess = git-lfs filter-process
\trequired = true
[lfs "transfer"]
\tmaxretries = 1
`;
const POLICY = `
@id("all") @reason("developers may") permit (principal, action, resource) when { principal in Group::"developers" };
@id("small") @reason("files over 80 MB stay out")
forbid (principal, action == Action::"git.lfs/upload", resource) when { context.largest > 80000000 };
@id("unlocked") @reason("nobody locks legacy files here")
forbid (principal, action == Action::"git.lfs/locks", resource) when { context.paths.contains("legacy.bin") };`;
const TYPE = "application/vnd.git-lfs+json";

let site: GitSite;
let lfs: LfsServer;
let client: GitClient;
let clone: string;
let serial = 0;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  site = await startGitSite({ policies: { "lfs.cedar": POLICY } });
  lfs = await startLfs(site.server);
  site.tap.instead = (...asked) => lfs.answer(...asked);
  await tinyRepository(join(site.server.root, "app.git"));
  client = await site.client({ carrier: "helper", config: FILTER });
  clone = await client.clone(site.url("app.git"));
  await client.git("-C", clone, "lfs", "install", "--local");
  await client.git("-C", clone, "lfs", "track", "*.bin");
  await client.git("-C", clone, "add", ".gitattributes");
});
afterAll(async () => {
  await site?.stop();
  await lfs?.stop();
});
beforeEach(() => {
  lfs.asked.length = 0;
  lfs.elsewhere = undefined;
});

/** Commits a large file on a branch of its own and pushes it. */
async function push(content: Uint8Array) {
  serial += 1;
  const name = `file-${serial}.bin`;
  await client.git("-C", clone, "checkout", "-q", "-b", `topic-${serial}`);
  await client.commit(clone, name, content);
  return {
    name,
    branch: `topic-${serial}`,
    ...(await client.attempt("-C", clone, "push", "origin", "HEAD")),
  };
}

async function batch(operation: string, objects: readonly { oid: string; size: number }[]) {
  const response = await fetch(`${site.url("app.git")}/info/lfs/objects/batch`, {
    method: "POST",
    headers: { authorization: `Bearer ${await site.token()}`, "content-type": TYPE },
    body: JSON.stringify({ operation, transfers: ["basic"], objects }),
  });
  const text = await response.text();
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    text,
    json: JSON.parse(text),
  };
}

/** The most memory that any of the node's processes had so far, in KiB. */
const peak = (): number =>
  Math.max(
    ...site.node.workerds().map((pid) => {
      const [, kib] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
      return Number(kib);
    }),
  );

type Put = { readonly status: number; readonly text: string };
/** Uploads as a client would that is wrong, or dies: `cutAt` bytes are all it sends. */
async function put(href: string, bytes: Uint8Array, length = bytes.byteLength, cutAt?: number): Promise<Put> {
  const headers = { authorization: `Bearer ${await site.token()}`, "content-length": length };
  const { promise, resolve } = Promise.withResolvers<Put>();
  const asked = request(href, { method: "PUT", headers, agent: false }, (answer) => {
    const parts: Buffer[] = [];
    answer.on("data", (part: Buffer) => parts.push(part));
    answer.on("end", () =>
      resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() }),
    );
  });
  asked.on("error", () => resolve({ status: 0, text: "" }));
  if (cutAt === undefined) asked.end(bytes);
  else asked.write(bytes.subarray(0, cutAt), () => asked.destroy());
  return promise;
}

test("the LFS server of these tests serves the stock client by itself", async () => {
  const direct = site.direct();
  const home = `${lfs.url.replace("//", `//${site.server.user}:${site.server.password}@`)}/app.git/info/lfs`;
  const url = site.directUrl("app.git");
  const content = randomBytes(10_000);
  const lfsToo = ["-c", `lfs.url=${home}`, "-c", "filter.lfs.process=git-lfs filter-process"];
  const work = direct.fresh();
  await direct.git(...lfsToo, "clone", "-q", url, work);
  await direct.git("-C", work, "lfs", "install", "--local");
  await direct.git("-C", work, "config", "lfs.url", home);
  await direct.git("-C", work, "lfs", "track", "*.bin");
  await direct.commit(work, "direct.bin", content);
  await direct.git("-C", work, "lfs", "lock", "direct.bin");
  await direct.git("-C", work, "push", "-q", "origin", "HEAD:direct");
  await direct.git("-C", work, "lfs", "unlock", "direct.bin");
  expect(lfs.objects.get(sha256(content))?.equals(content)).toBe(true);
  const again = direct.fresh();
  await direct.git(...lfsToo, "clone", "-q", "-b", "direct", url, again);
  await direct.git("-C", again, "lfs", "install", "--local");
  await direct.git("-C", again, "config", "lfs.url", home);
  await direct.git("-C", again, "lfs", "pull");
  expect(readFileSync(join(again, "direct.bin")).equals(content)).toBe(true);
  await direct.git("-C", work, "push", "-q", "origin", ":direct");
  lfs.objects.clear();
});

test("a pushed file arrives as it is, and a clone gets it back, both through the gateway alone", async () => {
  const content = randomBytes(300_000);
  const pushed = await push(content);
  expect(pushed).toMatchObject({ code: 0 });
  expect(lfs.objects.get(sha256(content))?.equals(content)).toBe(true);
  expect(lfs.asked.map((line) => line.split(" ")[0])).toContain("PUT");
  const other = await client.clone(site.url("app.git"), "-b", pushed.branch);
  expect(readFileSync(join(other, pushed.name)).equals(content)).toBe(true);
  await client.git("-C", other, "lfs", "fetch", "--all");
});

test("60 MB pass in both directions without being held", async () => {
  const content = randomBytes(60_000_000);
  const before = peak();
  const pushed = await push(content);
  expect(pushed).toMatchObject({ code: 0 });
  expect(lfs.objects.get(sha256(content))?.equals(content)).toBe(true);
  const other = await client.clone(site.url("app.git"), "-b", pushed.branch);
  expect(readFileSync(join(other, pushed.name)).equals(content)).toBe(true);
  // Held whole on each way by gateway and egress it would be four times the object.
  expect(peak() - before).toBeLessThan(220 * 1024);
});

test("what the LFS server gives for an object stays with the gateway", async () => {
  const content = Buffer.from("small");
  const asked = { oid: sha256(content), size: content.byteLength };
  const { status, type, text, json } = await batch("upload", [asked]);
  expect([status, type]).toEqual([200, TYPE]);
  expect(text).not.toMatch(/RemoteAuth|upstream-secret|authenticated|X-Object/i);
  const { upload, verify } = json.objects[0].actions;
  for (const { href } of [upload, verify])
    expect(href.startsWith(`${site.url("app.git")}/info/lfs/`)).toBe(true);
  const forged = upload.href.replace(asked.oid, "0".repeat(64));
  expect(await put(forged, content)).toMatchObject({ status: 422 });
  const bent = upload.href.replace(
    /ticket=(.)/,
    (_: string, first: string) => `ticket=${first === "_" ? "-" : "_"}`,
  );
  expect(await put(bent, content)).toMatchObject({ status: 403 });
  expect(lfs.objects.has(asked.oid)).toBe(false);
  expect(await put(upload.href, content)).toMatchObject({ status: 200 });
  expect(lfs.objects.get(asked.oid)?.equals(content)).toBe(true);
});

test.each([[1_000], [3_000_000]])(
  "%i bytes that are not their oid never look whole upstream",
  async (size) => {
    const said = { oid: sha256(randomBytes(8)), size };
    const { json } = await batch("upload", [said]);
    const { status, text } = await put(json.objects[0].actions.upload.href, randomBytes(size));
    expect([status, JSON.parse(text).message]).toEqual([
      422,
      "The object's content is not what its oid and size say: it was not stored.",
    ]);
    expect(lfs.objects.has(said.oid)).toBe(false);
  },
);

test("a client that hangs up in the middle of an object leaves nothing that looks whole", async () => {
  const content = randomBytes(8_000_000);
  const said = { oid: sha256(content), size: content.byteLength };
  const { json } = await batch("upload", [said]);
  const cut = lfs.cut();
  await put(json.objects[0].actions.upload.href, content, said.size, 4_000_000);
  await until(async () => lfs.cut() > cut, "the broken upload is seen");
  expect(lfs.objects.has(said.oid)).toBe(false);
});

test("a file that policy keeps out is not uploaded, and git-lfs says why", async () => {
  const { status, text } = await batch("upload", [{ oid: "a".repeat(64), size: 80_000_001 }]);
  expect([status, JSON.parse(text)]).toEqual([403, { message: "files over 80 MB stay out" }]);
  expect(lfs.asked).toEqual([]);
  const stranger = await site.client({ sub: "carol", config: FILTER });
  await stranger.git("-C", clone, "checkout", "-q", "-b", "strange");
  await stranger.commit(clone, "strange.bin", randomBytes(5_000));
  const told = await stranger.attempt("-C", clone, "lfs", "push", "origin", "strange");
  expect(told.code).not.toBe(0);
  expect(`${told.stdout}${told.stderr}`).toContain(
    "batch response: no policy permits git.lfs/upload on code/app",
  );
  expect(lfs.asked).toEqual([]);
});

test("an object kept elsewhere is refused by what would have to be changed, and nobody goes there", async () => {
  lfs.elsewhere = "https://store.example/bucket";
  const pushed = await push(randomBytes(2_000));
  expect(pushed.code).not.toBe(0);
  expect(`${pushed.stdout}${pushed.stderr}`).toContain(
    'the object is kept at https://store.example, where connection "code" does not lead',
  );
  expect(`${pushed.stdout}${pushed.stderr}`).not.toContain("upstream-secret");
});

test("locks are made, listed and given up, and one that policy denies is not made", async () => {
  await client.commit(clone, "held.bin", randomBytes(100));
  await client.git("-C", clone, "lfs", "lock", "held.bin");
  expect(await client.git("-C", clone, "lfs", "locks")).toContain("held.bin");
  await client.git("-C", clone, "lfs", "unlock", "held.bin");
  expect(await client.git("-C", clone, "lfs", "locks")).toBe("");
  await client.commit(clone, "legacy.bin", randomBytes(100));
  const denied = await client.attempt("-C", clone, "lfs", "lock", "legacy.bin");
  expect(denied.code).not.toBe(0);
  expect(`${denied.stdout}${denied.stderr}`).toContain("nobody locks legacy files here");
});

test("without a token nothing passes, and the client is told to ask its helper", async () => {
  const response = await fetch(`${site.url("app.git")}/info/lfs/objects/batch`, { method: "POST" });
  expect(response.status).toBe(401);
  expect(response.headers.get("lfs-authenticate")).toMatch(/^Basic /);
  expect(response.headers.get("content-type")).toBe(TYPE);
  expect(lfs.asked).toEqual([]);
});

test("all of it is sealed and verifies: every request upstream was decided, and the record has the objects", async () => {
  expect(await site.seal()).toEqual(SOUND);
  const { exchanges, everything } = await site.recording();
  const own = [...exchanges.values()].filter(({ request }) => request.operation.kind.startsWith("git.lfs/"));
  const allowed = own.filter(({ decision }) => decision?.verdict === "allow");
  const upstream = site.tap.passed.filter(({ url }) => url.includes("/info/lfs/"));
  expect(upstream.length).toBeGreaterThan(20);
  // A ticket that is not good was allowed, and stopped by egress.
  expect(upstream.length).toBeLessThanOrEqual(allowed.length);
  const uploads = own.filter(
    ({ request }) => request.method === "PUT" && request.operation.kind === "git.lfs/upload",
  );
  for (const bytes of lfs.objects.values())
    expect(uploads.some(({ sent }) => sent.bytes.equals(bytes) && sent.end === "complete")).toBe(true);
  expect(uploads.some(({ sent }) => sent.end === "cut")).toBe(true);
  expect(
    own.some(({ request, answered }) => request.method === "GET" && answered.bytes.byteLength === 60_000_000),
  ).toBe(true);
  expect(everything.includes("RemoteAuth")).toBe(false);
  expect(everything.includes("upstream-secret")).toBe(false);
});
