/** The demo's Git server is a real one: stock git works with it, and only with its credential. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GitServer, startGitServer } from "#scripts/demo/git-server.ts";
import { gitEnvironment, run, tryRun } from "#scripts/demo/program.ts";
import { workspace } from "#test/support/servers/children.ts";

const home = workspace("demo-git");
const config = join(home.path, "client-gitconfig");
const env = gitEnvironment(home.path, config);
let server: GitServer;
let authorized: string;

beforeAll(async () => {
  writeFileSync(config, "[user]\n\tname = Ann\n\temail = ann@example.test\n[gc]\n\tauto = 0\n");
  server = await startGitServer({
    directory: join(home.path, "server"),
    user: "gateway",
    password: "s3cret",
  });
  await server.createRepository("team/app.git");
  authorized = server.url.replace("http://", "http://gateway:s3cret@");
});

afterAll(async () => {
  await server.stop();
  home.remove();
});

test("who has no credential, or a wrong one, is turned away and counted", async () => {
  const before = server.turnedAway();
  const path = `${server.url}/team/app.git/info/refs?service=git-upload-pack`;
  const none = await fetch(path);
  expect(none.status).toBe(401);
  expect(none.headers.get("www-authenticate")).toBe('Basic realm="git"');
  const wrong = await fetch(path, { headers: { authorization: `Basic ${btoa("gateway:guess")}` } });
  expect(wrong.status).toBe(401);
  expect(server.turnedAway()).toBe(before + 2);
});

test("a push of many megabytes and a clone of it pass unchanged", async () => {
  const work = join(home.path, "work");
  mkdirSync(work);
  const big = randomBytes(6 << 20);
  writeFileSync(join(work, "big.bin"), big);
  const git = (...args: string[]) => run("git", args, { cwd: work, env });
  await git("init", "-q", "-b", "main");
  await git("add", "big.bin");
  await git("commit", "-q", "-m", "Big");
  await git("push", "-q", `${authorized}/team/app.git`, "main");
  await git("clone", "-q", `${authorized}/team/app.git`, join(home.path, "clone"));
  expect(readFileSync(join(home.path, "clone/big.bin")).equals(big)).toBe(true);
});

test("a path out of the repositories, and one that is not there, are git's own no", async () => {
  const gone = await tryRun("git", ["ls-remote", `${authorized}/team/none.git`], { env });
  expect(gone.code).toBe(128);
  const headers = { authorization: `Basic ${btoa("gateway:s3cret")}` };
  const outside = await fetch(`${server.url}/%2e%2e%2fserver/gitconfig`, { headers });
  expect(outside.status).toBeGreaterThanOrEqual(400);
  expect(await outside.text()).not.toContain("receivepack");
});

test("a path that cannot be decoded gets no answer, and the server goes on", async () => {
  const headers = { authorization: `Basic ${btoa("gateway:s3cret")}` };
  await expect(fetch(`${server.url}/%zz/info/refs`, { headers })).rejects.toThrow("fetch failed");
  expect((await fetch(`${server.url}/team/none.git/HEAD`, { headers })).status).toBe(404);
});

test("a client that hangs up in the middle of a request leaves the server at work", async () => {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  const head = [
    "POST /team/app.git/git-receive-pack HTTP/1.1",
    "host: localhost",
    `authorization: Basic ${btoa("gateway:s3cret")}`,
    "content-type: application/x-git-receive-pack-request",
    "content-length: 1000",
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n00`);
  await sleep(100);
  socket.destroy();
  expect(await run("git", ["ls-remote", `${authorized}/team/app.git`], { env })).toContain("refs/heads/main");
});
