// A node of several processes: fronts that keep nothing, one recorder that keeps everything, and each of them killed.
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  answers,
  busy,
  type FaultSite,
  killWorkerd,
  notInRecord,
  RESULT,
  seen,
  startFaultSite,
  unique,
} from "#test/support/faults.ts";
import { type GitClient, gitClient } from "#test/support/git-client.ts";
import { readRecording } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { type GitHttpServer, startGitHttp } from "#test/support/servers/git-http.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";

let server: GitHttpServer;
let site: FaultSite;
let client: GitClient;

beforeAll(async () => {
  server = await startGitHttp();
  await tinyRepository(join(server.root, "app.git"));
  site = await startFaultSite({
    serve: { topology: "split", fronts: 2 },
    session: { idle_seconds: 3, head_seconds: 1 },
    connections: [{ name: "git", kind: "git", upstream: server.authUrl, credential: "env:UPSTREAM_SECRET" }],
    env: { UPSTREAM_SECRET: `${server.user}:${server.password}` },
    instead: (request, response) => {
      if (!request.url?.includes("drip")) return unique(request, response);
      response.writeHead(200, RESULT);
      const timer = setInterval(() => response.write(randomBytes(200)), 20);
      response.once("close", () => clearInterval(timer));
      return true;
    },
  });
  client = gitClient({ token: await site.token() });
});
afterAll(async () => {
  client?.remove();
  await site?.stop();
  await server?.stop();
});

/** `recorder`, `front-0`, `front-1`, by the configuration that a process runs. */
const nameOf = (pid: number): string =>
  /([a-z0-9-]+)\.capnp/.exec(readFileSync(`/proc/${pid}/cmdline`, "latin1"))?.[1] ?? "";
const pidOf = (name: string): number => site.node.workerds().find((pid) => nameOf(pid) === name) ?? 0;
/** Clock ticks that a process has worked. */
const cpu = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
};

describe("a node of two fronts and a recorder", () => {
  test("is three processes whose sockets only its owner can reach", () => {
    expect(site.node.workerds().map(nameOf).sort()).toEqual(["front-0", "front-1", "recorder"]);
    const sockets = join(site.node.directory, "state/run/sockets");
    const names = readdirSync(sockets);
    expect(names).toEqual(expect.arrayContaining(["append.sock", "kill.sock", "read.sock", "spool.sock"]));
    expect(statSync(sockets).mode & 0o777).toBe(0o700);
    for (const name of names) expect(statSync(join(sockets, name)).isSocket()).toBe(true);
  });

  test("serves clones, pushes and refusals as one process does", async () => {
    const clone = await client.clone(site.url("app.git", "git"));
    expect(await client.git("-C", clone, "rev-list", "--count", "origin/main")).toBe("3");
    await client.git("-C", clone, "checkout", "-q", "-b", "topic");
    const id = await client.commit(clone, "a.txt", "by way of a front\n");
    await client.git("-C", clone, "push", "-q", "origin", "topic");
    expect(await client.git("-C", join(server.root, "app.git"), "rev-parse", "topic")).toBe(id);
    const no = await client.attempt("-C", clone, "push", "origin", "topic:main");
    expect(no.code).toBe(1);
    expect(no.stderr).toContain("main changes by review only");
  });

  test("has both fronts at work, and both record into the same session", async () => {
    const before = ["front-0", "front-1"].map((name) => cpu(pidOf(name)));
    const asked = await Promise.all(Array.from({ length: 200 }, () => site.ask({ conversation: "both" })));
    expect(new Set(asked.map(({ status, session }) => `${status} ${session}`)).size).toBe(1);
    const after = ["front-0", "front-1"].map((name) => cpu(pidOf(name)));
    for (const i of [0, 1]) expect((after[i] ?? 0) - (before[i] ?? 0)).toBeGreaterThan(0);
  });
});

describe("when a process is killed", () => {
  test("a front: the other goes on, the stream that it carried is cut, and the recorder seals what came of it", async () => {
    const response = await site.stream("drip.git", { conversation: "front" });
    const streaming = seen(async () => response);
    const session = response.headers.get("steno-session") ?? "";
    await sleep(300);
    // Whichever front has it: the stream ends with it.
    for (const name of ["front-1", "front-0"]) {
      const recorder = pidOf("recorder");
      const pid = pidOf(name);
      expect(killWorkerd(site.node, (each) => each === pid)).toBe(1);
      for (let i = 0; i < 10; i++) await answers(site, { conversation: "other" });
      await until(() => pidOf(name) !== 0, "the front to be started again");
      expect(pidOf("recorder")).toBe(recorder);
    }
    const { cut, bytes, exchange = "" } = await streaming;
    expect(cut).toBe(true);
    expect(bytes.length).toBeGreaterThan(0);
    await until(async () => (await statusOf(session)) === "sealed", "the seal");
    const recorded = (await readRecording(site.node.archive)).exchanges.get(exchange);
    expect(recorded?.answered.end).toBe("cut");
    expect(recorded?.answered.bytes.subarray(0, bytes.length).equals(bytes)).toBe(true);
  });

  test("the recorder: while it is away fronts forward nothing; then they go on, and nothing is lost", async () => {
    const fronts = [pidOf("front-0"), pidOf("front-1")];
    const own = busy(site, 3, () => ({ conversation: "recorder" }));
    await sleep(300);
    const pid = pidOf("recorder");
    const holder = parentOf(pid);
    // Stopped, its holder does not start it again: it stays away.
    process.kill(holder, "SIGSTOP");
    try {
      expect(killWorkerd(site.node, (each) => each === pid)).toBe(1);
      await until(() => pidOf("recorder") === 0, "the recorder to be gone");
      await sleep(200);
      const reached = site.back.passed.length;
      const asking = Array.from({ length: 5 }, () => site.ask({ conversation: "away" }));
      await sleep(1_500);
      expect(site.back.passed.length).toBe(reached);
      process.kill(holder, "SIGCONT");
      // Those that waited are answered or refused, and none is left hanging.
      for (const { status, session, bytes } of await Promise.all(asking))
        expect(status === 200 && (session !== undefined || bytes.includes("ERR "))).toBe(true);
    } finally {
      process.kill(holder, "SIGCONT");
    }
    await answers(site, { conversation: "recorder" });
    expect((await own.stop()).some(({ session }) => session !== undefined)).toBe(true);
    expect([pidOf("front-0"), pidOf("front-1")]).toEqual(fronts);
  });
});

test("a reload under load refuses no exchange and cuts no answer; what a connection was not yet read for is asked again", async () => {
  const before = site.node.workerds();
  const own = busy(site, 4, () => ({ conversation: "reload" }));
  const passed = () => own.all.filter(({ status }) => status === 200).length;
  await until(() => passed() > 10, "answers before");
  process.kill(site.node.pid(), "SIGHUP");
  await until(() => site.node.output().includes("\nreloaded"), "the reload");
  const meanwhile = passed();
  await until(() => passed() > meanwhile + 10, "answers after");
  const all = await own.stop();
  const answered = all.filter(({ status }) => status !== undefined);
  expect(answered.filter(({ status, cut }) => status !== 200 || cut)).toEqual([]);
  // workerd closes what it accepted and has not read when it is told to stop: each worker has one such at most, and
  // none of them went anywhere, which the record of the whole run shows below.
  expect(all.length - answered.length).toBeLessThanOrEqual(4);
  expect(site.node.workerds().filter((pid) => before.includes(pid))).toEqual([]);
});

test("a stop under load cuts no exchange that was begun, and what was acknowledged is there at the next start", async () => {
  const own = busy(site, 4, () => ({ conversation: "stop" }));
  await sleep(300);
  await site.node.terminate();
  const all = await own.stop();
  expect(all.filter(({ status, cut }) => status !== undefined && (status !== 200 || cut))).toEqual([]);
  await site.node.start();
  await answers(site, { conversation: "stop" });
  await site.sealedAll();
  const { out } = await site.node.cli("verify", site.node.archive);
  expect(out).toMatch(/^VALID (COMPLETE|DEGRADED) /m);
  const recording = await readRecording(site.node.archive);
  expect(notInRecord(site.front.passed, site.back.passed, recording)).toEqual([]);
});

/** Of a workerd: the process that holds its sockets and starts it again. */
function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

async function statusOf(session: string): Promise<string> {
  const headers = { authorization: `Bearer ${await site.token("dave", "steno-console")}` };
  const answer = await fetch(`${site.node.console()}/api/v1/sessions/${session}`, { headers });
  return ((await answer.json()) as { status: string }).status;
}
