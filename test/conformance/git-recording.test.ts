// What is sealed of a session of git is what happened: every body byte, every pushed commit, every decision.
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Commit } from "#durable/format/frame.ts";
import type { GitPush } from "#durable/format/operation.ts";
import type { GitClient } from "#test/support/git-client.ts";
import { type GitSite, startGitSite } from "#test/support/git-site.ts";
import type { RecordedExchange, Recording } from "#test/support/recording.ts";
import { generateRepository, tinyRepository } from "#test/support/servers/repository.ts";
import { header, type Passed, startTap, type Tap } from "#test/support/tap.ts";

let site: GitSite;
/** Between the agent and the gateway. */
let agents: Tap;
let client: GitClient;
let clone: string;
let recording: Recording;
/** Sent with every request of the client, as its configuration says. */
const CONVERSATION = "conversation-1";

/** The commits of each push, oldest first, as git lists them. */
const pushed: Record<string, string[]> = {};

beforeAll(async () => {
  site = await startGitSite();
  agents = await startTap(site.node.gateway());
  await tinyRepository(join(site.server.root, "app.git"));
  await generateRepository(join(site.server.root, "big.git"), { megabytes: 3, commits: 5 });
  const config = `[http]\n\textraHeader = Authorization: Bearer ${await site.token()}\n\textraHeader = Steno-Conversation: ${CONVERSATION}\n`;
  client = await site.client({ carrier: "none", config });
  await work(`${agents.url}/git/code`);
  // A conversation is named, and no hook spoke of its pushes; nothing else is wrong or missing.
  const { code, verdict } = await site.seal();
  const [reason = "", sealed = ""] = verdict.split("\n");
  expect(code).toBe(1);
  expect(reason).toMatch(/^session_unhooked \S+: 6 calls or pushes of a conversation/);
  expect(sealed).toMatch(/^VALID DEGRADED sessions=1 /);
  recording = await site.recording();
});
afterAll(async () => {
  await site?.stop();
  await agents?.stop();
});

/** A session as agents have them: clones, a fetch, small and large pushes, denials. */
async function work(base: string): Promise<void> {
  clone = await client.clone(`${base}/app.git`);
  await client.clone(`${base}/big.git`);
  await client.git("-C", clone, "checkout", "-q", "-b", "small");
  await client.commit(clone, "a.txt", "one\n", "Éclair 🥐: first\n\nWith a body.");
  await client.commit(clone, "a.txt", "two\n", "Second");
  await push("small");
  await client.git("-C", clone, "checkout", "-q", "-b", "merged", "small~1");
  await client.commit(clone, "b.txt", "other\n", "Other side");
  await client.git("-C", clone, "merge", "-q", "--no-ff", "-m", "Join both", "small");
  await push("merged");
  for (const megabytes of [2, 6]) {
    await client.git("-C", clone, "checkout", "-q", "-b", `big-${megabytes}`, "main");
    await client.commit(clone, "big.bin", randomBytes(megabytes << 20), `Large ${megabytes}`);
    await push(`big-${megabytes}`);
  }
  await client.attempt("-C", clone, "push", "origin", "small:main");
  await client.git("-C", clone, "checkout", "-q", "-b", "denied", "main");
  await client.commit(clone, "big.bin", randomBytes(6 << 20));
  await client.attempt("-C", clone, "push", "origin", "denied:main", "small:fine");
  await client.git("-C", clone, "fetch", "-q", "--all");
}

async function push(branch: string): Promise<void> {
  const before = await client.git("-C", clone, "rev-list", "--remotes");
  const known = before.split("\n").map((id) => `^${id}`);
  const list = await client.git("-C", clone, "rev-list", "--reverse", branch, ...known);
  pushed[branch] = list.split("\n");
  await client.git("-C", clone, "push", "-q", "origin", branch);
}

const of = ({ answerHeaders }: Passed): RecordedExchange | undefined =>
  recording.exchanges.get(header(answerHeaders(), "steno-exchange") ?? "");
const pushOf = (branch: string): RecordedExchange => {
  const found = [...recording.exchanges.values()].find(
    ({ request: { operation } }) =>
      operation.kind === "git.push" && operation.updates.some(({ ref }) => ref === `refs/heads/${branch}`),
  );
  if (!found) throw new Error(`no push of ${branch} is recorded`);
  return found;
};

describe("every exchange", () => {
  test("is named in its response by session and exchange, and recorded under both", () => {
    expect(agents.passed.length).toBeGreaterThan(20);
    for (const passed of agents.passed)
      expect(of(passed)?.session).toBe(header(passed.answerHeaders(), "steno-session"));
  });

  test("has the answer the agent got, byte for byte and header for header, to its end", () => {
    for (const passed of agents.passed) {
      const recorded = of(passed);
      expect(recorded?.answered.bytes.equals(passed.answer())).toBe(true);
      expect(recorded?.answered.end).toBe("complete");
      expect(recorded?.response?.status).toBe(passed.status());
      for (const [name, value] of recorded?.response?.headers ?? [])
        expect([name, header(passed.answerHeaders(), name)]).toEqual([name, value]);
    }
  });

  test("that was allowed has the request the agent sent, and the same is what the server got", () => {
    const arrived = [...site.tap.passed].filter(({ method }) => method === "POST");
    let forwarded = 0;
    for (const passed of agents.passed) {
      const recorded = of(passed);
      if (recorded?.decision?.verdict !== "allow") continue;
      expect(recorded.sent.bytes.equals(passed.body())).toBe(true);
      expect(recorded.sent.end).toBe(passed.method === "POST" ? "complete" : undefined);
      if (passed.method !== "POST" || recorded.request.operation.kind === "git.probe") continue;
      forwarded += 1;
      expect(arrived.some(({ body }) => body().equals(recorded.sent.bytes))).toBe(true);
    }
    expect(forwarded).toBeGreaterThan(8);
  });

  test("names the policies that decided it and the digest of their set", () => {
    const log = /"code":"policy_loaded","set":"([0-9a-f]{64})"/.exec(site.node.output());
    const known = policyIds();
    for (const { decision } of recording.exchanges.values()) {
      expect(decision?.set).toBe(log?.[1]);
      expect(decision?.policies.length).toBeGreaterThan(0);
      for (const id of decision?.policies ?? []) expect(known).toContain(id);
    }
  });
});

const policyIds = (): string[] => {
  const directory = join(site.node.directory, "policies");
  const texts = readdirSync(directory)
    .filter((name) => name.endsWith(".cedar"))
    .map((name) => readFileSync(join(directory, name), "utf8"));
  return texts.flatMap((text) => [...text.matchAll(/@id\("([^"]+)"\)/g)].map((match) => match[1] ?? ""));
};

describe("a push", () => {
  test.each(["small", "merged", "big-2", "big-6"])(
    "of %s lists exactly the commits git lists, as git shows them",
    async (branch) => {
      const { git } = pushOf(branch);
      const commits = git.flatMap((frame) => frame.commits ?? []);
      expect(commits.map(({ id }) => id).toSorted()).toEqual(pushed[branch]?.toSorted());
      for (const commit of commits) expect(commit).toEqual(await asGitShows(commit.id));
      const updates = git.flatMap((frame) => frame.updates ?? []);
      expect(updates).toMatchObject([
        { ref: `refs/heads/${branch}`, new: pushed[branch]?.at(-1), change: "create" },
      ]);
    },
  );

  test.each(["small", "merged", "big-2", "big-6"])(
    "of %s lists exactly the paths git lists, as git diff --raw has them",
    async (branch) => {
      const { git } = pushOf(branch);
      expect(git.flatMap(({ uncompared }) => uncompared ?? [])).toEqual([]);
      const [changes] = git.flatMap((frame) => (frame.changes?.ref === undefined ? [] : [frame.changes]));
      const args = ["diff", "--raw", "--no-renames", "--no-abbrev"];
      const raw = await client.git("-C", clone, ...args, changes?.base ?? "", pushed[branch]?.at(-1) ?? "");
      const told = changes?.paths.map(
        ({ status, modes, ids, path }) => `:${modes.join(" ")} ${ids.join(" ")} ${status}\t${path}`,
      );
      expect(told?.join("\n")).toBe(raw);
    },
  );

  test("of much was announced by a probe, which was answered here and stands in the record as one", () => {
    const probes = [...recording.exchanges.values()].filter(
      ({ request }) => request.operation.kind === "git.probe",
    );
    expect(probes).toHaveLength(3);
    for (const { sent, response } of probes) {
      expect(sent.bytes.toString()).toBe("0000");
      expect(response?.status).toBe(200);
    }
  });

  test("that was denied is recorded with what it wanted, why not, and all that was sent", () => {
    const denied = [...recording.exchanges.values()].filter(({ decision }) => decision?.verdict === "deny");
    expect(denied).toHaveLength(2);
    for (const { decision, response, sent } of denied) {
      expect(decision?.policies).toEqual(["no-direct-main"]);
      expect(decision?.denied).toMatchObject([{ part: "refs/heads/main" }]);
      expect(response?.refusal?.code).toBe("denied");
      expect(sent.end).toBe("refused");
    }
    const several = denied.find(({ request }) => (request.operation as GitPush).updates.length === 2);
    expect(several?.sent.bytes.byteLength).toBeGreaterThan(6_000_000);
    expect(several?.gaps).toEqual([]);
  });

  test("is a subject of the seal: each commit that went through leads to its session", () => {
    const folder = join(site.node.archive, "sessions");
    const seals = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith("seal.sigstore.json"),
    );
    const subjects = seals.flatMap((name) => {
      const { dsseEnvelope } = JSON.parse(readFileSync(join(folder, name), "utf8")) as {
        dsseEnvelope: { payload: string };
      };
      const { subject } = JSON.parse(atob(dsseEnvelope.payload)) as {
        subject: { digest: { gitCommit?: string } }[];
      };
      return subject.flatMap(({ digest }) => digest.gitCommit ?? []);
    });
    expect(subjects.toSorted()).toEqual(Object.values(pushed).flat().toSorted());
  });
});

test("one conversation of one person with one program is one session", () => {
  const [start, ...more] = [...recording.sessions.values()].map((frames) => frames[0]);
  expect(more).toEqual([]);
  expect(start).toMatchObject({
    k: "session.start",
    principal: { subject: "alice", groups: ["developers"] },
    client: expect.stringMatching(/^git\//),
    conversation: CONVERSATION,
  });
});

async function asGitShows(id: string): Promise<Commit> {
  const format = ["%T", "%P", "%an <%ae> %ad", "%cn <%ce> %cd", "%B"].join("%x00");
  const shown = await client.git("-C", clone, "show", "-s", "--date=raw", `--format=${format}`, id);
  const [tree = "", parents = "", author = "", committer = "", message = ""] = shown.split("\0");
  return {
    id,
    tree,
    parents: parents.split(" "),
    author,
    committer,
    message: `${message.trimEnd()}\n`,
    signed: false,
  };
}
