// Pushes that are read in full: nothing of one leaves before all of it is durable and decided, and a bad one is evidence.
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { deflateSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GitClient, refsOf } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import type { RecordedExchange } from "#test/support/recording.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";

const MB = 1 << 20;
let site: GitSite;
let client: GitClient;
let token: string;
let bare: string;

beforeAll(async () => {
  site = await startGitSite({
    connections: (tap) => [
      {
        name: "brief",
        kind: "git",
        upstream: `${tap.url}/auth`,
        credential: "env:UPSTREAM_SECRET",
        bodies: "digest",
      },
    ],
  });
  bare = join(site.server.root, "app.git");
  await tinyRepository(bare);
  client = await site.client();
  token = await site.token();
});
afterAll(() => site?.stop());

const ZERO = "0".repeat(40);
const idOf = (kind: string, content: Uint8Array): string =>
  createHash("sha1").update(`${kind} ${content.byteLength}\0`).update(content).digest("hex");

function entry(type: number, content: Uint8Array): Buffer {
  const head = [(type << 4) | (content.byteLength & 15)];
  for (let rest = Math.floor(content.byteLength / 16); rest > 0; rest = Math.floor(rest / 128)) {
    head[head.length - 1] = (head.at(-1) ?? 0) | 0x80;
    head.push(rest % 128);
  }
  return Buffer.concat([Uint8Array.from(head), deflateSync(content, { level: 1 })]);
}

/** A push of one commit with one file of so many random bytes, and its pack as `bend` leaves it. */
function pushOf(branch: string, size: number, bend: (pack: Buffer) => Buffer = (pack) => pack): Buffer {
  const blob = randomBytes(size);
  const tree = Buffer.concat([Buffer.from("100644 big.bin\0"), Buffer.from(idOf("blob", blob), "hex")]);
  const people = "A <a@example.test> 1700000000 +0000";
  const commit = Buffer.from(
    `tree ${idOf("tree", tree)}\nauthor ${people}\ncommitter ${people}\n\n${branch}\n`,
  );
  const head = Buffer.alloc(12);
  head.write("PACK");
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(3, 8);
  const objects = Buffer.concat([head, entry(1, commit), entry(2, tree), entry(3, blob)]);
  const pack = Buffer.concat([objects, createHash("sha1").update(objects).digest()]);
  const command = `${ZERO} ${idOf("commit", commit)} refs/heads/${branch}\0 report-status side-band-64k\n`;
  const line = (command.length + 4).toString(16).padStart(4, "0") + command;
  return Buffer.concat([Buffer.from(`${line}0000`), bend(pack)]);
}

const posts = () =>
  site.tap.passed.filter(({ method, url }) => method === "POST" && url.includes("receive-pack"));

/** Sends a push in pieces; `between` runs before the last of them. */
async function send(
  body: Buffer,
  { connection = "code", pieces = [body], between = async () => undefined as unknown } = {},
): Promise<string> {
  const posting = request(site.url("app.git/git-receive-pack", connection), {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/x-git-receive-pack-request" },
  });
  const answer = new Promise<string>((done, fail) => {
    posting.on("error", fail);
    posting.on("response", (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => done(Buffer.concat(parts).toString("latin1")));
    });
  });
  for (const [i, piece] of pieces.entries()) {
    if (i > 0 && i === pieces.length - 1) await between();
    posting.write(piece);
  }
  posting.end();
  return answer;
}

test("nothing of a long push reaches the server before its last byte has come, and then it is all there", async () => {
  const body = pushOf("whole", 7 * MB);
  site.tap.passed.length = 0;
  let early = -1;
  const told = await send(body, {
    pieces: [body.subarray(0, -10), body.subarray(-10)],
    between: async () => {
      await sleep(1_500);
      early = posts().length;
    },
  });
  expect(early).toBe(0);
  expect(told).toContain("ok refs/heads/whole");
  expect(posts().map((post) => post.body().equals(body))).toEqual([true]);
  expect(await refsOf(client, bare)).toContain(`${body.toString("latin1").slice(45, 85)} refs/heads/whole`);
});

test("a pushed file of stock git comes out as it went in, where only digests of bodies are kept", async () => {
  const clone = await client.clone(site.url("app.git", "brief"));
  await client.git("-C", clone, "checkout", "-q", "-b", "brief");
  const tip = await client.commit(clone, "big.bin", randomBytes(9 * MB));
  await client.git("-C", clone, "push", "-q", "origin", "brief");
  expect(await refsOf(client, bare)).toContain(`${tip} refs/heads/brief`);
});

const bent: Record<string, (pack: Buffer) => Buffer> = {
  "with a changed byte in its file": (pack) => {
    pack[pack.byteLength - 5000] = (pack[pack.byteLength - 5000] ?? 0) ^ 1;
    return pack;
  },
  "without its last bytes": (pack) => pack.subarray(0, -30),
  "with something behind it": (pack) => Buffer.concat([pack, Buffer.from("more")]),
  "that says it has more objects": (pack) => {
    pack.writeUInt32BE(4, 8);
    return pack;
  },
};

test.each(
  Object.entries(bent).flatMap(([name, bend]) => [[name, 1, bend] as const, [name, 6, bend] as const]),
)(
  "a pack %s (%i MB) is refused with the reason, and never reaches the server",
  async (_, megabytes, bend) => {
    site.tap.passed.length = 0;
    const told = await send(pushOf(`bent-${megabytes}`, megabytes * MB, bend));
    expect(told).toMatch(/The pack cannot be read: [a-z', ]+\./);
    expect(told).toContain(`ng refs/heads/bent-${megabytes} The pack cannot be read`);
    expect(posts()).toEqual([]);
  },
);

test("an agent that hangs up in the middle of a long push has pushed nothing", async () => {
  const body = pushOf("hung-up", 8 * MB);
  site.tap.passed.length = 0;
  const posting = request(site.url("app.git/git-receive-pack"), {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/x-git-receive-pack-request" },
  });
  posting.on("error", () => undefined);
  posting.write(body.subarray(0, 6 * MB));
  await sleep(1_000);
  posting.destroy();
  await sleep(500);
  expect(posts()).toEqual([]);
});

test("the record verifies, and holds what was sent of every push, whether it went through or not", async () => {
  expect(await site.seal()).toEqual(SOUND);
  const { exchanges } = await site.recording();
  const pushes = [...exchanges.values()].filter(
    ({ request: { operation } }) => operation.kind === "git.push",
  );
  const named = (ref: string): readonly RecordedExchange[] =>
    pushes.filter(({ request: { operation } }) => JSON.stringify(operation).includes(`"refs/heads/${ref}"`));
  const [whole] = named("whole");
  expect(whole?.sent.end).toBe("complete");
  expect(whole?.git.flatMap(({ pack }) => pack ?? [])).toMatchObject([
    { scanned: "all", objects: 3, commits: 1, blobs: 1, largest: 7 * MB },
  ]);
  for (const refused of [...named("bent-1"), ...named("bent-6")]) {
    expect(refused.sent.end).toBe("refused");
    expect(refused.response?.refusal?.code).toBe("malformed");
    const thrownAway = refused.gaps.map(({ missing }) => Number.parseInt(missing, 10));
    const sent = refused.sent.bytes.byteLength + (thrownAway[0] ?? 0);
    expect(sent).toBeGreaterThan(MB);
    expect(refused.sent.bytes.includes(Buffer.from("PACK"))).toBe(true);
  }
  const [hungUp] = named("hung-up");
  expect(hungUp?.sent.bytes.byteLength).toBeGreaterThan(4 * MB);
  expect(hungUp?.sent.end).toBe("refused");
});
