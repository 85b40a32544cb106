// A node whose archive is a real object store with Object Lock (Ceph): what is sealed there, and what happens without it.
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import {
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { SEAL_PUB, sessionFolder } from "#durable/format/layout.ts";
import { type FaultSite, RESULT, type Seen, seen, startFaultSite, unique } from "#test/support/faults.ts";
import { type GitClient, gitClient } from "#test/support/git-client.ts";
import { until } from "#test/support/servers/children.ts";
import { type GitHttpServer, startGitHttp } from "#test/support/servers/git-http.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { type S3Server, startS3 } from "#test/support/servers/s3.ts";

const DAYS = 3;
let ceph: S3Server;
let server: GitHttpServer;
let site: FaultSite;
let client: GitClient;

beforeAll(async () => {
  [ceph, server] = await Promise.all([startS3(), startGitHttp()]);
  await tinyRepository(join(server.root, "app.git"));
  site = await startFaultSite({
    archive: {
      kind: "s3",
      endpoint: ceph.endpoint,
      bucket: ceph.bucket,
      access_key: "env:ARCHIVE_KEY",
      secret_key: "env:ARCHIVE_SECRET",
      retention_days: DAYS,
      prefix: "steno",
      backlog_mb: 1,
    },
    connections: [{ name: "git", kind: "git", upstream: server.authUrl, credential: "env:UPSTREAM_SECRET" }],
    env: {
      ARCHIVE_KEY: ceph.accessKeyId,
      ARCHIVE_SECRET: ceph.secretAccessKey,
      UPSTREAM_SECRET: `${server.user}:${server.password}`,
    },
    instead: (request, response) => {
      if (!request.url?.includes("bulk")) return unique(request, response);
      request.resume().once("end", () => response.writeHead(200, RESULT).end(randomBytes(700_000)));
      return true;
    },
  });
  client = gitClient({ token: await site.token("bob") });
});
afterAll(async () => {
  client?.remove();
  await site?.stop();
  await Promise.all([ceph?.stop(), server?.stop()]);
});

type Listed = { readonly session: string; readonly status: string; readonly backlog: number };

/** `steno session list --json`, as an admin. */
async function listed(): Promise<readonly Listed[]> {
  const { code, out, err } = await site.cli("dave", "session", "list", "--json");
  if (code !== 0) throw new Error(err);
  return (JSON.parse(out) as { sessions: Listed[] }).sessions;
}
const statusOf = async (session: string | undefined) =>
  (await listed()).find((each) => each.session === session)?.status;
const sealed = (session: string | undefined) =>
  until(async () => (await statusOf(session)) === "sealed", "the seal", [], 90_000);

async function end(session: string | undefined, sub = "alice"): Promise<void> {
  const { code, err } = await site.cli(sub, "session", "end", session ?? "");
  expect({ code, err }).toEqual({ code: 0, err: "" });
}

/** Fetches a session from the store and verifies the copy, offline, with the key of the copy. */
async function verdictOf(session: string | undefined): Promise<string> {
  const copy = join(client.home, `copy-${session}`);
  const fetched = await site.node.cli("fetch", session ?? "", "-o", copy);
  expect(fetched).toMatchObject({ code: 0, err: "" });
  const folder = join(copy, sessionFolder(session as SessionId));
  const { out, err } = await site.node.cli("verify", folder, "--key", join(copy, SEAL_PUB));
  rmSync(copy, { recursive: true });
  return `${out}${err}`.replace(/ sessions=.*\s*$/, "");
}

describe("a session that is sealed into the store", () => {
  let session: string;

  test("is a whole git session, fetched with the configuration's keys, and VALID COMPLETE offline", async () => {
    const clone = await client.clone(site.url("app.git", "git"));
    await client.git("-C", clone, "checkout", "-q", "-b", "topic");
    await client.commit(clone, "a.txt", "through the gateway\n");
    await client.git("-C", clone, "push", "-q", "origin", "topic");
    const own = await site.cli("bob", "session", "list", "--mine", "--json");
    session = (JSON.parse(own.out) as { sessions: Listed[] }).sessions[0]?.session ?? "";
    await end(session, "bob");
    await sealed(session);
    expect(await verdictOf(session)).toBe("VALID COMPLETE");
  });

  test("is retained in COMPLIANCE mode for as long as was promised, object by object, and cannot be deleted", async () => {
    const s3 = ceph.client();
    const { Versions = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket: ceph.bucket }));
    const free = /^steno\/(trust\/.*|probe\/.*|log\/checkpoint|log\/tile\/.*\.p\/\d+)$/;
    const locked = Versions.filter(({ Key = "" }) => !free.test(Key));
    expect(locked.filter(({ Key = "" }) => Key.includes(session)).length).toBeGreaterThan(2);
    expect(new Set(locked.map(({ Key = "" }) => Key.replace(/^steno\/(sessions|log)\/.*/, "$1")))).toEqual(
      new Set(["sessions", "log"]),
    );
    for (const { Key, VersionId } of locked) {
      const one = { Bucket: ceph.bucket, Key, VersionId };
      const { Retention } = await s3.send(new GetObjectRetentionCommand(one));
      expect(Retention?.Mode).toBe("COMPLIANCE");
      const until = Retention?.RetainUntilDate?.getTime() ?? 0;
      expect(until).toBeGreaterThan(Date.now() + DAYS * 86_400_000 - 120_000);
      await expect(s3.send(new DeleteObjectCommand(one))).rejects.toThrow("forbidden by object lock");
    }
    s3.destroy();
    expect(await verdictOf(session)).toBe("VALID COMPLETE");
  });
});

describe("while the store is down", () => {
  let before: Seen;
  let ended: Seen;

  beforeAll(async () => {
    before = await site.ask({ conversation: "before" });
    await ceph.goDown();
  });

  test("sessions go on and end, new ones are opened, and the backlog is to be seen", async () => {
    expect((await site.ask({ conversation: "before" })).session).toBe(before.session);
    const bulk = () => seen(() => site.stream("bulk.git", { conversation: "ended" }));
    ended = await bulk();
    for (let i = 0; i < 2; i++) expect((await bulk()).session).toBe(ended.session);
    await end(ended.session);
    await until(async () => {
      const view = (await listed()).find((each) => each.session === ended.session);
      return view?.status === "closing" && view.backlog > 2_000_000;
    }, "the backlog to be shown");
    const token = await site.token("dave", "steno-console");
    const headers = { authorization: `Bearer ${token}` };
    const shown = await fetch(`${site.node.console()}/api/v1/sessions/${ended.session}`, { headers });
    expect(await shown.json()).toMatchObject({ status: "closing", reason: "request" });
  });

  test("over the bound new sessions are refused and told why, and open ones go on", async () => {
    const reached = site.back.passed.length;
    const fresh = await site.ask({ conversation: "over the bound" });
    expect(fresh.bytes.toString()).toContain("the archive is behind: no new sessions until it has caught up");
    expect(site.back.passed.length).toBe(reached);
    const other = gitClient({ token: await site.token("carol") });
    const { code, stderr } = await other.attempt("ls-remote", site.url("app.git", "git"));
    other.remove();
    expect({ code, stderr }).toEqual({ code: 128, stderr: expect.stringContaining("the archive is behind") });
    const headers = { authorization: `Bearer ${await site.token()}` };
    const opened = await fetch(`${site.front.url}/v1/sessions`, { method: "POST", headers });
    expect([opened.status, await opened.text()]).toEqual([
      503,
      expect.stringContaining("the archive is behind"),
    ]);
    expect(await site.ask({ conversation: "before" })).toMatchObject({
      status: 200,
      session: before.session,
    });
  });

  test("when it is back the seals follow by themselves, new sessions are opened, and all is VALID", async () => {
    await ceph.comeBack();
    await sealed(ended.session);
    expect(await verdictOf(ended.session)).toBe("VALID COMPLETE");
    const fresh = await site.ask({ conversation: "over the bound" });
    expect(fresh.status).toBe(200);
    expect(fresh.session).toBeDefined();
    await end(before.session);
    await sealed(before.session);
    expect(await verdictOf(before.session)).toBe("VALID COMPLETE");
  });
});
