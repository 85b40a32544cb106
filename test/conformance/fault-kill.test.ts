// kill -9 at chosen and at random moments: nothing acknowledged is lost, and every session ends up sealed by itself.
import { randomBytes, randomInt } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { sessionFolder } from "#durable/format/layout.ts";
import {
  answers,
  busy,
  type FaultSite,
  killWorkerd,
  notInRecord,
  RESULT,
  sealsIn,
  seen,
  startFaultSite,
  unique,
} from "#test/support/faults.ts";
import { type GitClient, gitClient } from "#test/support/git-client.ts";
import { readRecording } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { type GitHttpServer, startGitHttp } from "#test/support/servers/git-http.ts";
import { generateRepository } from "#test/support/servers/repository.ts";
import { type Passed, startTap, type Tap } from "#test/support/tap.ts";

let server: GitHttpServer;
/** Between the node and the git server. */
let line: Tap;
let site: FaultSite;
let client: GitClient;
const BULK = randomBytes(6_000_000);

beforeAll(async () => {
  server = await startGitHttp();
  line = await startTap(server.url);
  site = await startFaultSite({
    session: { idle_seconds: 2, head_seconds: 1 },
    connections: [
      { name: "git", kind: "git", upstream: `${line.url}/auth`, credential: "env:UPSTREAM_SECRET" },
    ],
    env: { UPSTREAM_SECRET: `${server.user}:${server.password}` },
    instead: (request, response) => {
      if (!request.url?.includes("bulk")) return unique(request, response);
      request.resume().once("end", () => response.writeHead(200, RESULT).end(BULK));
      return true;
    },
  });
  await generateRepository(join(server.root, "big.git"), { megabytes: 6, commits: 4 });
  client = gitClient({ token: await site.token("bob") });
});
afterAll(async () => {
  client?.remove();
  await site?.stop();
  await line?.stop();
  await server?.stop();
});

const grown = async (
  all: readonly Passed[],
  bytes: (passed: Passed) => Buffer,
  size: number,
): Promise<void> => {
  const before = new Set(all);
  await until(() => all.some((each) => !before.has(each) && bytes(each).length > size), "bytes to pass");
};

/** Ends the session of a conversation and returns its id. */
async function ended(conversation: string, repository?: string): Promise<SessionId> {
  const how = { conversation };
  const { session } = await (repository === undefined
    ? site.ask(how)
    : seen(() => site.stream(repository, how)));
  const headers = { authorization: `Bearer ${await site.token()}` };
  await fetch(`${site.front.url}/v1/sessions/${session}`, { method: "DELETE", headers });
  return session as SessionId;
}

/** Brings the node to the moment at which it is killed. */
const MOMENTS: Readonly<Record<string, (round: number) => Promise<unknown>>> = {
  "small exchanges": () => sleep(randomInt(20, 300)),
  async clone() {
    const cloning = client.attempt("clone", "-q", site.url("big.git", "git"), client.fresh());
    await grown(site.front.passed, (each) => each.answer(), randomInt(100_000, 4_000_000));
    return { cloning };
  },
  async push(round) {
    const directory = client.fresh();
    await client.git("init", "-q", directory);
    await client.commit(directory, "blob.bin", randomBytes(8_000_000));
    const url = site.url("big.git", "git");
    const pushing = client.attempt("-C", directory, "push", "-q", url, `HEAD:refs/heads/round-${round}`);
    await grown(line.passed, (each) => each.body(), randomInt(100_000, 4_000_000));
    return { pushing };
  },
  async sealing(round) {
    await ended(`sealed ${round}`);
    await sleep(randomInt(0, 60));
  },
  async "the archive is being written"(round) {
    const session = await ended(`archived ${round}`, "bulk.git");
    const folder = join(site.node.archive, sessionFolder(session));
    const parts = () => readdirSync(folder, { recursive: true }).length;
    for (let waited = 0; waited < 2000; waited++) {
      try {
        if (parts() > 0) return;
      } catch {
        // The folder comes with the first object.
      }
      await sleep(1);
    }
    throw new Error("nothing was archived");
  },
};

test("a recorder that is killed 10 times, at chosen and random moments, has lost nothing that anybody was told or sent", async () => {
  const shared = busy(site, 2);
  const rounds = [...Object.keys(MOMENTS), ...Object.keys(MOMENTS)];
  for (const [round, name] of rounds.entries()) {
    await answers(site, { conversation: `round ${round}` });
    const own = busy(site, 2, () => ({ conversation: `round ${round}` }));
    await MOMENTS[name]?.(round);
    expect(killWorkerd(site.node)).toBe(1);
    await own.stop();
  }
  await answers(site);
  const all = await shared.stop();
  expect(all.filter(({ status }) => status === 200).length).toBeGreaterThan(10);
  // Nobody asks the node anything from here on.
  await site.sealedAll();
  const { code, out } = await site.node.cli("verify", site.node.archive, "--json");
  const verified = JSON.parse(out) as { integrity: string; findings: { code: string; message: string }[] };
  const others = verified.findings.filter(({ code }) => code !== "session_truncated");
  expect({ code, integrity: verified.integrity, others }).toEqual({
    code: 1,
    integrity: "VALID",
    others: [],
  });
  const recording = await readRecording(site.node.archive);
  expect(notInRecord(site.front.passed, [...site.back.passed, ...line.passed], recording, "/auth")).toEqual(
    [],
  );
  const ends = [...recording.sessions.values()].map((frames) => frames.at(-1)?.k);
  expect(new Set(ends)).toEqual(new Set(["session.end", "session.truncated"]));
}, 120_000);

test("a node that is killed whole, and started again on its state, has lost nothing and goes on", async () => {
  for (let round = 0; round < 2; round++) {
    const own = busy(site, 3, () => ({ conversation: `whole ${round}` }));
    await sleep(randomInt(50, 400));
    await site.node.crash();
    await own.stop();
    await answers(site, { conversation: `whole ${round}` });
  }
  await site.sealedAll();
  expect(sealsIn(site.node.archive).size).toBeGreaterThan(10);
  const { out, err } = await site.node.cli("verify", site.node.archive);
  expect(out, err).toContain("VALID DEGRADED");
  expect(out).not.toContain("INVALID");
  const recording = await readRecording(site.node.archive);
  expect(notInRecord(site.front.passed, [...site.back.passed, ...line.passed], recording, "/auth")).toEqual(
    [],
  );
});
