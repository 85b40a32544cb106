// kill -9 at chosen and at random moments: nothing acknowledged is lost, and every session ends up sealed by itself.
import { randomBytes, randomInt } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { sessionFolder } from "#durable/format/layout.ts";
import type { Verified } from "#durable/proof/verify/archive.ts";
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
import { type GitClient, gitClient, type Ran } from "#test/support/git-client.ts";
import { readRecording } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { type GitHttpServer, startGitHttp } from "#test/support/servers/git-http.ts";
import { generateRepository } from "#test/support/servers/repository.ts";
import { type Passed, startTap, type Tap } from "#test/support/tap.ts";

type Topology = "single" | "split";
interface Rig {
  readonly site: FaultSite;
  /** Between the node and the git server. */
  readonly line: Tap;
  readonly client: GitClient;
}

let server: GitHttpServer;
/** Both nodes are killed at the same time: their restarts take longer than anything else here. */
let rigs: Readonly<Record<Topology, Rig>>;
const BULK = randomBytes(6_000_000);

async function startRig(topology: Topology): Promise<Rig> {
  const line = await startTap(server.url);
  const site = await startFaultSite({
    session: { idle_seconds: 2, head_seconds: 1 },
    serve: { topology },
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
  return { site, line, client: gitClient({ token: await site.token("bob") }) };
}

beforeAll(async () => {
  server = await startGitHttp();
  await generateRepository(join(server.root, "big.git"), { megabytes: 6, commits: 4 });
  const [single, split] = await Promise.all([startRig("single"), startRig("split")]);
  rigs = { single, split };
});
afterAll(async () => {
  for (const { site, line, client } of Object.values(rigs ?? {})) {
    client.remove();
    await site.stop();
    await line.stop();
  }
  await server?.stop();
});

/** Until git, which runs, has passed a body of more than `size` bytes by. */
async function grown(
  all: readonly Passed[],
  bytes: (one: Passed) => Buffer,
  size: number,
  git: Promise<Ran>,
) {
  const before = new Set(all);
  const passing = until(
    () => all.some((one) => !before.has(one) && bytes(one).length > size),
    "bytes to pass",
  );
  const early = git.then((ran) => Promise.reject(new Error(`git ended before: ${JSON.stringify(ran)}`)));
  await Promise.race([passing, early]);
  early.catch(() => undefined);
  return { git };
}

/** Ends the session of a conversation and returns its id. */
async function ended(site: FaultSite, conversation: string, repository?: string): Promise<SessionId> {
  const how = { conversation };
  // A front that has just begun may still answer with 503.
  const { session: begun } = await answers(site, how);
  const { session = begun } = repository === undefined ? {} : await seen(() => site.stream(repository, how));
  const headers = { authorization: `Bearer ${await site.token()}` };
  await fetch(`${site.front.url}/v1/sessions/${session}`, { method: "DELETE", headers });
  return session as SessionId;
}

/** Brings a node to the moment at which it is killed. */
const MOMENTS: Readonly<Record<string, (rig: Rig) => Promise<unknown>>> = {
  "small exchanges": () => sleep(randomInt(20, 300)),
  async clone({ site, client }) {
    const cloning = client.attempt("clone", "-q", site.url("big.git", "git"), client.fresh());
    return grown(site.front.passed, (one) => one.answer(), randomInt(100_000, 4_000_000), cloning);
  },
  async push({ site, line, client }) {
    const directory = client.fresh();
    await client.git("init", "-q", directory);
    await client.commit(directory, "blob.bin", randomBytes(8_000_000));
    // The nodes of both tests push to one repository: each push has a branch of its own.
    const ref = `HEAD:refs/heads/${basename(directory)}-${randomInt(1_000_000_000)}`;
    const pushing = client.attempt("-C", directory, "push", "-q", site.url("big.git", "git"), ref);
    return grown(line.passed, (one) => one.body(), randomInt(100_000, 4_000_000), pushing);
  },
  async sealing({ site }) {
    await ended(site, "sealed");
    await sleep(randomInt(0, 60));
  },
  async "the archive is being written"({ site }) {
    const session = await ended(site, "archived", "bulk.git");
    const folder = join(site.node.archive, sessionFolder(session));
    await until(() => existsSync(folder) && readdirSync(folder).length > 0, "something to be archived");
  },
};

/** What the archive says, and what it lacks of what clients and upstreams have seen. Nobody asks the node anything. */
async function checked({ site, line }: Rig) {
  await site.sealedAll();
  const { out } = await site.node.cli("verify", site.node.archive, "--json");
  const { integrity, findings } = JSON.parse(out) as Verified;
  const recording = await readRecording(site.node.archive);
  const reached = [...site.back.passed, ...line.passed];
  const ends = [...recording.sessions.values()].flatMap((frames) => frames.at(-1)?.k ?? []);
  return {
    integrity,
    codes: [...new Set(findings.map(({ code }) => code))],
    missing: notInRecord(site.front.passed, reached, recording, "/auth"),
    ends: [...new Set(ends)].sort(),
  };
}
const KEPT = {
  integrity: "VALID",
  codes: ["session_truncated"],
  missing: [],
  ends: ["session.end", "session.truncated"],
};

test.concurrent.for([
  ["single", "its one workerd"],
  ["split", "its recorder and its fronts"],
] as const)(
  "a %s node of which %s is killed at five moments has lost nothing that anybody was told or sent",
  async ([topology], { expect }) => {
    const rig = rigs[topology];
    const { site } = rig;
    const shared = busy(site, 2);
    for (const [name, reach] of Object.entries(MOMENTS)) {
      await answers(site, { conversation: name });
      const own = busy(site, 2, () => ({ conversation: name }));
      await reach(rig);
      expect(killWorkerd(site.node)).toBe(topology === "single" ? 1 : 3);
      await own.stop();
    }
    await answers(site);
    const all = await shared.stop();
    expect(all.filter(({ status }) => status === 200).length).toBeGreaterThan(5);
    expect(await checked(rig)).toEqual(KEPT);
  },
);

test("a node that is killed whole, and started again on its state, has lost nothing and goes on", async () => {
  const rig = rigs.single;
  for (let round = 0; round < 2; round++) {
    const how = { conversation: `whole ${round}` };
    const own = busy(rig.site, 3, () => how);
    await sleep(randomInt(50, 400));
    await rig.site.node.crash();
    await own.stop();
    await answers(rig.site, how);
  }
  expect(await checked(rig)).toEqual(KEPT);
});
