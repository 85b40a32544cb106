// Agents that are killed in the middle: nothing half done upstream, a record that says what was cut, a session that seals.
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GitClient, refsOf } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import type { RecordedExchange } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { generateRepository, tinyRepository } from "#test/support/servers/repository.ts";
import { type Passed, startTap, type Tap } from "#test/support/tap.ts";

let site: GitSite;
/** An upstream that takes what it is given and answers no more than a test wants. */
let slow: Tap;
let client: GitClient;
let bare: string;
let before: readonly string[];
let token: string;

beforeAll(async () => {
  slow = await startTap(undefined);
  site = await startGitSite({
    // What breaks off must be on its way to the server by then.
    inspect: "refs",
    connections: () => [{ name: "slow", kind: "git", upstream: slow.url, inspect: "refs" }],
  });
  bare = join(site.server.root, "app.git");
  await tinyRepository(bare);
  await generateRepository(join(site.server.root, "big.git"), { megabytes: 20, commits: 4 });
  client = await site.client();
  before = await refsOf(client, bare);
  token = await site.token();
});
afterAll(async () => {
  await site?.stop();
  await slow?.stop();
});

const posted = ({ passed }: Tap): Passed | undefined => passed.findLast(({ method }) => method === "POST");
/** The exchanges of one kind in a session that a test had to itself. */
const kinds = async (kind: string): Promise<readonly RecordedExchange[]> =>
  [...(await site.recording()).exchanges.values()].filter(({ request }) => request.operation.kind === kind);

test("an agent that is killed while it pushes changes nothing upstream", async () => {
  const clone = await client.clone(site.url("app.git"));
  await client.git("-C", clone, "checkout", "-q", "-b", "work");
  await client.commit(clone, "big.bin", randomBytes(28 << 20));
  site.tap.passed.length = 0;
  const pushing = client.start("-C", clone, "push", "origin", "work");
  await until(() => (posted(site.tap)?.body().byteLength ?? 0) > 5_000_000, "the push to be under way", [
    pushing,
  ]);
  await pushing.stop();
  await until(() => posted(site.tap)?.cut() === true, "the server to see the push break off");
  expect(posted(site.tap)?.ended()).toBe(false);
  expect(await refsOf(client, bare)).toEqual(before);
  expect(await site.seal()).toEqual(SOUND);
  const [push, ...more] = await kinds("git.push");
  expect(more).toEqual([]);
  expect(push?.sent.end).toBe("cut");
  const arrived = posted(site.tap)?.body() ?? Buffer.alloc(0);
  expect(push?.sent.bytes.subarray(0, arrived.byteLength).equals(arrived)).toBe(true);
});

test("an agent that is killed while it clones leaves a record of what it got, and no more", async () => {
  const cloning = client.start("clone", site.url("big.git"), client.fresh());
  site.tap.passed.length = 0;
  await until(() => (posted(site.tap)?.answer().byteLength ?? 0) > 2_000_000, "the clone to be under way", [
    cloning,
  ]);
  await cloning.stop();
  await until(() => posted(site.tap)?.cut() === true, "the server to see the clone break off");
  expect(await site.seal()).toEqual(SOUND);
  const cut = (await kinds("git.fetch")).filter(({ answered }) => answered.end === "cut");
  expect(cut).toHaveLength(1);
  const recorded = cut[0]?.answered.bytes ?? Buffer.alloc(0);
  expect(recorded.byteLength).toBeGreaterThan(0);
  expect(posted(site.tap)?.answer().subarray(0, recorded.byteLength).equals(recorded)).toBe(true);
});

test("a push whose connection is reset before its commands are complete goes nowhere", async () => {
  site.tap.passed.length = 0;
  const { port } = new URL(site.node.gateway());
  const socket = connect(Number(port), "127.0.0.1");
  const head = [
    "POST /git/code/app.git/git-receive-pack HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    `Authorization: Bearer ${token}`,
    "Content-Type: application/x-git-receive-pack-request",
    "Content-Length: 1000",
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n00a0`);
  await sleep(200);
  socket.resetAndDestroy();
  await sleep(200);
  expect(site.tap.passed).toEqual([]);
  expect(await refsOf(client, bare)).toEqual(before);
});

test("a killed session cuts the clone that is under way, and says who killed it", async () => {
  slow.instead = (request, response) => {
    request.resume();
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
      response.end(`001e# service=git-upload-pack\n0000003d${"1".repeat(40)} refs/heads/main\n0000`);
      return true;
    }
    response.writeHead(200, { "content-type": "application/x-git-upload-pack-result" });
    response.write("0008NAK\n");
    return true;
  };
  const old = await site.client({ protocol: 0 });
  const cloning = old.start("clone", site.url("x.git", "slow"), old.fresh());
  await until(() => posted(slow)?.answer().byteLength === 8, "the clone to wait", [cloning]);
  await sleep(1_500);
  expect(await site.seal()).toEqual(SOUND);
  await until(() => !cloning.running(), "git to give up");
  await until(() => posted(slow)?.cut() === true, "the server to see it break off");
  const { sessions } = await site.recording();
  const ends = [...sessions.values()].map((frames) => frames.at(-1));
  expect(ends).toContainEqual(
    expect.objectContaining({ k: "session.end", reason: "killed", by: `${site.oidc.issuer} dave` }),
  );
  const cut = (await kinds("git.fetch")).filter(({ request }) => request.connection === "slow");
  expect(cut.map(({ answered }) => [answered.bytes.toString(), answered.end])).toEqual([
    ["0008NAK\n", "cut"],
  ]);
});

test("afterwards the node serves as before", async () => {
  const clone = await client.clone(site.url("app.git"));
  expect(await client.git("-C", clone, "rev-list", "--count", "HEAD")).toBe("3");
  expect(await site.seal()).toEqual(SOUND);
});
