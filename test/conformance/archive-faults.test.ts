// Archives that fail: every seal follows, each object is kept once, and the sessions do not notice.
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { CHECKPOINT, PROBE_PREFIX, SEAL_PUB, sessionFolder } from "#durable/format/layout.ts";

import { type FaultSite, sealsIn, startFaultSite } from "#test/support/faults.ts";
import { until } from "#test/support/servers/children.ts";
import { type Call, FakeS3, type Fault } from "#test/unit/store/fake-s3.ts";

const BUCKET = "sealed";

async function startStore(): Promise<FakeS3> {
  // As Ceph: a put on a key that has a version makes another one.
  const store = await new FakeS3({ honoursIfNoneMatch: false }).start();
  store.makeBucket(BUCKET, { locks: true });
  return store;
}

const siteOf = (store: FakeS3) =>
  startFaultSite({
    archive: {
      kind: "s3",
      endpoint: store.endpoint,
      bucket: BUCKET,
      access_key: "env:ARCHIVE_KEY",
      secret_key: "env:ARCHIVE_SECRET",
      retention_days: 1,
    },
    env: { ARCHIVE_KEY: store.accessKeyId, ARCHIVE_SECRET: store.secretAccessKey },
  });

async function viewOf(site: FaultSite, session: string): Promise<{ status: string; backlog: number }> {
  const headers = { authorization: `Bearer ${await site.token("dave", "steno-console")}` };
  const answer = await fetch(`${site.node.console()}/api/v1/sessions/${session}`, { headers });
  return (await answer.json()) as { status: string; backlog: number };
}

/** One exchange in a session of its own, which is then ended. */
async function endedSession(site: FaultSite, conversation: string): Promise<string> {
  const { session = "" } = await site.ask({ conversation });
  expect((await site.cli("alice", "session", "end", session)).code).toBe(0);
  return session;
}

const sealed = (site: FaultSite, session: string, timeoutMs = 60_000) =>
  until(async () => (await viewOf(site, session)).status === "sealed", "the seal", [], timeoutMs);

async function expectValid(site: FaultSite, session: string): Promise<void> {
  const copy = join(site.node.directory, `copy-${session}`);
  expect(await site.node.cli("fetch", session, "-o", copy)).toMatchObject({ code: 0, err: "" });
  const folder = join(copy, sessionFolder(session as SessionId));
  const { out } = await site.node.cli("verify", folder, "--key", join(copy, SEAL_PUB));
  expect(out).toContain("VALID COMPLETE");
  rmSync(copy, { recursive: true });
}

/** The store has been probed: what it meets from now on is for the objects that count. */
const probed = ({ seen }: FakeS3) =>
  until(() => {
    const deleted = seen.findIndex((line) => line.startsWith("DELETE "));
    return deleted >= 0 && seen.slice(deleted).some((line) => /^HEAD .*\/probe\/\w+$/.test(line));
  }, "the probe");

/** Every key that was ever put has one version, but for the one that is replaced and what a probe has put. */
function expectOnce(store: FakeS3): void {
  const keys = store.seen.flatMap((line) => /^PUT \/sealed\/(.*)$/.exec(line)?.[1] ?? []);
  expect(keys.length).toBeGreaterThan(3);
  const once = [...new Set(keys)].filter((key) => !key.endsWith(CHECKPOINT) && !key.includes(PROBE_PREFIX));
  for (const key of once) expect([key, store.kept(BUCKET, key).length]).toEqual([key, 1]);
}

describe("a store in which", () => {
  let store: FakeS3;
  let site: FaultSite;
  /** Beside it, one that keeps the object and never says so: until a put is given up takes a minute. */
  let silent: FakeS3;
  let waiting: FaultSite;
  let silenced: string;

  beforeAll(async () => {
    [store, silent] = await Promise.all([startStore(), startStore()]);
    [site, waiting] = await Promise.all([siteOf(store), siteOf(silent)]);
    const { session = "" } = await waiting.ask();
    await until(() => silent.seen.some((line) => /^GET .*entry/.test(line)), "the open head's publication");
    await site.ask();
    await Promise.all([probed(store), probed(silent)]);
    silent.next("PUT", { silence: "kept" });
    silenced = session;
    expect((await waiting.cli("alice", "session", "end", session)).code).toBe(0);
    expect((await viewOf(waiting, silenced)).status).toBe("closing");
  });
  afterAll(async () => {
    await Promise.all([site?.stop(), waiting?.stop()]);
    await Promise.all([store?.stop(), silent?.stop()]);
  });

  const FAULTS: readonly (readonly [string, Call, Fault])[] = [
    ["puts are slow", "PUT", { slowMs: 700 }],
    ["puts are answered with 500", "PUT", { status: 500 }],
    ["puts are answered with 503", "PUT", { status: 503 }],
    ["puts are answered with 409", "PUT", { status: 409 }],
    ["puts are answered with 412", "PUT", { status: 412 }],
    ["connections are reset before the object is kept", "PUT", { reset: "before" }],
    ["connections are reset after the object was kept", "PUT", { reset: "after" }],
    ["reading back fails", "GET", { status: 500 }],
    ["reading back ends halfway", "GET", { body: "ends" }],
    ["versions cannot be listed", "LIST", { status: 503 }],
  ];

  test.each(FAULTS)(
    "%s: the session is sealed, each object is there once, and all verifies",
    async (name, call, fault) => {
      const session = (await site.ask({ conversation: name })).session ?? "";
      store.next(call, fault, fault, fault);
      expect((await site.cli("alice", "session", "end", session)).code).toBe(0);
      await sealed(site, session);
      expectOnce(store);
      await expectValid(site, session);
    },
  );

  test("a put is kept and never answered: it is given up, looked up and sealed, once", async () => {
    expect((await waiting.ask({ conversation: "meanwhile" })).status).toBe(200);
    await sealed(waiting, silenced, 90_000);
    expectOnce(silent);
    await expectValid(waiting, silenced);
  });
});

describe("a directory archive", () => {
  let site: FaultSite;
  beforeAll(async () => {
    site = await startFaultSite();
  });
  afterAll(async () => await site?.stop());

  const stays = async (session: string): Promise<void> => {
    await until(async () => (await viewOf(site, session)).backlog > 0, "the backlog");
    await sleep(1_000);
    expect((await viewOf(site, session)).status).toBe("closing");
    expect((await site.ask({ conversation: "meanwhile" })).status).toBe(200);
  };

  test("whose disk is gone: sessions go on, and are sealed when it is back", async () => {
    await site.ask({ conversation: "meanwhile" });
    const { session = "" } = await site.ask({ conversation: "gone" });
    const away = `${site.node.archive}.away`;
    renameSync(site.node.archive, away);
    writeFileSync(site.node.archive, "not a directory");
    expect((await site.cli("alice", "session", "end", session)).code).toBe(0);
    await stays(session);
    rmSync(site.node.archive);
    renameSync(away, site.node.archive);
    await sealed(site, session);
    expect(sealsIn(site.node.archive).has(session)).toBe(true);
  });

  test("whose endpoint does not answer: sessions go on, and are sealed when it does", async () => {
    process.kill(site.node.pid(), "SIGSTOP");
    const session = await endedSession(site, "stopped");
    try {
      await stays(session);
    } finally {
      process.kill(site.node.pid(), "SIGCONT");
    }
    await sealed(site, session);
    const { out } = await site.node.cli("verify", site.node.archive);
    expect(out).toContain("VALID");
    expect(out).not.toContain("INVALID");
  });
});
