// The real servers the other tests talk to: each starts, does its one job for a stock client, and leaves nothing.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectRetentionCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { accepts, run, until } from "#test/support/servers/children.ts";
import { startGitDaemon } from "#test/support/servers/git-daemon.ts";
import { startGitHttp } from "#test/support/servers/git-http.ts";
import { type Account, startGitolite } from "#test/support/servers/gitolite.ts";
import { startNginxProxy, startNginxStatic } from "#test/support/servers/nginx-static.ts";
import { generateRepository, tinyRepository } from "#test/support/servers/repository.ts";
import { startS3 } from "#test/support/servers/s3.ts";

const scratch = mkdtempSync(join(tmpdir(), "steno-counterparts-"));
const tiny = join(scratch, "tiny.git");
let main: string;
let made = 0;

const fresh = (): string => join(scratch, String(made++));

const environment = {
  ...process.env,
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
};

const git = (...args: string[]): Promise<string> => run("git", args, { env: environment });

const as = (url: string, { user, password }: Account): string => url.replace("//", `//${user}:${password}@`);

/** Programs whose command line names a directory, zombies aside. */
function programsIn(directory: string): string[] {
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const command = readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ");
      return command.includes(directory) ? [command] : [];
    } catch {
      // It ended between the listing and the reading.
      return [];
    }
  });
}

async function expectGone(directory: string, url: string): Promise<void> {
  expect(programsIn(directory)).toEqual([]);
  await refused(url);
}

/** The kernel lets go of what a killed program listened on a moment after the program. */
const refused = (url: string): Promise<void> =>
  until(async () => !(await accepts(Number(new URL(url).port))), `${url} to be refused`);

/** Pushes the tiny repository, clones it back, and returns what the clone's branches are at. */
async function pushAndClone(remote: string): Promise<string> {
  const clone = fresh();
  await git("-C", tiny, "push", "-q", remote, "main", "feature/greeting", "v1.0");
  await git("clone", "-q", remote, clone);
  return (await git("-C", clone, "rev-parse", "origin/main")).trim();
}

beforeAll(async () => {
  main = (await tinyRepository(tiny)).commits.at(-1) ?? "";
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("the tiny repository has the same ids on every machine", async () => {
  expect(await tinyRepository(fresh())).toEqual({
    commits: [
      "34ea72272a71bcda1c546cd14c8c0c618b93310b",
      "4cb59b7081c37bd9afd9b683ee18b2686f2f9878",
      "8fb86c9de4a1882f7248d84bdda23be6fb2c8d20",
    ],
    feature: "249b5e5150af3c17dc49c3b314c4d9dedef0de3f",
    tag: "91dcb705a750612865eb3aa067f3782f5e615b93",
  });
});

test("a generated repository is about as large as asked for, sound, and the same on every run", async () => {
  const [one, two] = [fresh(), fresh()];
  await Promise.all(
    [one, two].map((directory) => generateRepository(directory, { megabytes: 3, commits: 12 })),
  );
  const head = await git("-C", one, "rev-parse", "main");
  expect(await git("-C", two, "rev-parse", "main")).toBe(head);
  expect((await git("-C", one, "rev-list", "--count", "main")).trim()).toBe("12");
  const size = Number(/size-pack: (\d+)/.exec(await git("-C", one, "count-objects", "-v"))?.[1]);
  expect(size).toBeGreaterThan(2500);
  expect(size).toBeLessThan(3500);
  await git("-C", one, "fsck", "--strict");
});

test("plain git over HTTP takes a push, with options and filters, open or by password", async () => {
  const directory = fresh();
  const server = await startGitHttp({ directory, user: "robot", password: "secret" });
  const repository = await server.createRepository("team/app.git");
  expect(await pushAndClone(`${server.plainUrl}/team/app.git`)).toBe(main);
  const remote = `${as(server.authUrl, server)}/team/app.git`;
  await git("-C", tiny, "push", "-q", "--atomic", "-o", "ci.skip", remote, "main:one", "main:two");
  expect((await git("-C", repository, "rev-parse", "two")).trim()).toBe(main);
  await git("clone", "-q", "--bare", "--filter=blob:none", remote, fresh());
  const refused = { ...server, password: "wrong" };
  await expect(git("ls-remote", `${as(server.authUrl, refused)}/team/app.git`)).rejects.toThrow(
    "Authentication failed",
  );
  await expect(git("ls-remote", `${server.authUrl}/team/app.git`)).rejects.toThrow("could not read Username");
  await server.stop();
  await expectGone(directory, server.url);
});

test("git daemon takes a push and says why it refuses", async () => {
  const directory = fresh();
  const server = await startGitDaemon({ directory });
  await server.createRepository("app.git");
  expect(await pushAndClone(`${server.url}/app.git`)).toBe(main);
  await expect(git("ls-remote", `${server.url}/other.git`)).rejects.toThrow("no such repository: /other.git");
  await server.stop();
  await expectGone(directory, server.url);
});

test("gitolite refuses a reader's push and a writer's push to the protected ref", async () => {
  const directory = fresh();
  const server = await startGitolite({ directory });
  const remote = (account: Account): string => `${as(server.url, account)}/project`;
  expect(await pushAndClone(remote(server.writer))).toBe(main);
  await git("clone", "-q", remote(server.reader), fresh());
  const push = (account: Account, ref: string): Promise<string> =>
    git("-C", tiny, "push", remote(account), `main:${ref}`);
  await expect(push(server.reader, "refs/heads/other")).rejects.toThrow("DENIED");
  await expect(push(server.writer, server.protectedRef)).rejects.toThrow("hook declined");
  await push(server.lead, server.protectedRef);
  await server.stop();
  await expectGone(directory, server.url);
});

test("S3 with Object Lock keeps a version in COMPLIANCE until its time, and what it holds outlives an outage", async () => {
  const directory = fresh();
  const server = await startS3({ directory });
  const s3 = server.client();
  const object = { Bucket: server.bucket, Key: "session/1" };
  const retention = { Mode: "COMPLIANCE", RetainUntilDate: new Date(Date.now() + 3_600_000) } as const;
  const put = await s3.send(
    new PutObjectCommand({
      ...object,
      Body: Buffer.from("kept"),
      ObjectLockMode: retention.Mode,
      ObjectLockRetainUntilDate: retention.RetainUntilDate,
    }),
  );
  const version = { ...object, VersionId: put.VersionId };
  const read = await s3.send(new GetObjectRetentionCommand(version));
  expect(read.Retention?.Mode).toBe("COMPLIANCE");
  await expect(s3.send(new DeleteObjectCommand(version))).rejects.toMatchObject({ name: "AccessDenied" });
  const sooner = { ...retention, RetainUntilDate: new Date(Date.now() + 60_000) };
  const shorten = new PutObjectRetentionCommand({ ...version, Retention: sooner });
  await expect(s3.send(shorten)).rejects.toMatchObject({ name: "AccessDenied" });
  await server.goDown();
  await refused(server.url);
  await server.comeBack();
  const got = await s3.send(new GetObjectCommand(version));
  expect(await got.Body?.transformToString()).toBe("kept");
  s3.destroy();
  await server.stop();
  await expectGone(directory, server.url);
});

test("nginx answers the bench's requests, itself and as a proxy", async () => {
  const directory = fresh();
  const server = await startNginxStatic({ directory, bigMegabytes: 8 });
  const proxy = await startNginxProxy({ upstream: server.url, directory: fresh() });
  for (const base of [server.url, proxy.url]) {
    expect(await git("ls-remote", `${base}/repo.git`)).toContain("refs/heads/main");
    const small = await fetch(`${base}/small`, { method: "POST", body: "{}" });
    expect((await small.arrayBuffer()).byteLength).toBe(1024);
    expect((await (await fetch(`${base}/big`)).arrayBuffer()).byteLength).toBe(8 * 1024 ** 2);
    const sunk = await fetch(`${base}/sink`, { method: "PUT", body: new Uint8Array(3_000_000) });
    expect(await sunk.json()).toEqual({ received: 3_000_000 });
  }
  await proxy.stop();
  await server.stop();
  await expectGone(directory, server.url);
});

test("a test run that is killed takes its servers along", async () => {
  const program = join(scratch, "run.mjs");
  const source = new URL("../support/servers/git-http.ts", import.meta.url).href;
  writeFileSync(
    program,
    `const { startGitHttp } = await import(${JSON.stringify(source)});
const server = await startGitHttp({ directory: process.argv[2] });
console.log(server.url);
setInterval(() => undefined, 1000);`,
  );
  const directory = fresh();
  const child = spawn(process.execPath, [program, directory], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = Number(new URL(line.toString().trim()).port);
  expect(await accepts(port)).toBe(true);
  child.kill("SIGKILL");
  await until(
    async () => !(await accepts(port)) && programsIn(directory).length === 0,
    "the end of the servers",
  );
});
