// A node that encrypts to an auditor, on a real object store: keys in a bucket of their own, read back with an identity, erased there.
import { execFileSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { ListObjectsV2Command, type S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FaultSite, startFaultSite } from "#test/support/faults.ts";
import { until, workspace } from "#test/support/servers/children.ts";
import { type S3Server, startS3 } from "#test/support/servers/s3.ts";

const KEYS = "steno-keys";
const home = workspace("encrypted-s3");
const identity = join(home.path, "auditor");
let ceph: S3Server;
let site: FaultSite;
let session: string;
let store: S3Client;

beforeAll(async () => {
  execFileSync("age-keygen", ["-o", identity], { stdio: "ignore" });
  const recipient = execFileSync("age-keygen", ["-y", identity], { encoding: "utf8" }).trim();
  ceph = await startS3();
  store = ceph.client();
  await ceph.createBucket(KEYS);
  site = await startFaultSite({
    archive: {
      kind: "s3",
      endpoint: ceph.endpoint,
      bucket: ceph.bucket,
      keys_bucket: KEYS,
      access_key: "env:ARCHIVE_KEY",
      secret_key: "env:ARCHIVE_SECRET",
      retention_days: 1,
    },
    evidence: { encrypt_to: [recipient] },
    env: { ARCHIVE_KEY: ceph.accessKeyId, ARCHIVE_SECRET: ceph.secretAccessKey },
  });
  session = (await site.ask({ conversation: "sealed to an auditor" })).session ?? "";
  expect((await site.cli("alice", "session", "end", session)).code).toBe(0);
  const token = await site.token("dave", "steno-console");
  const url = `${site.node.console()}/api/v1/sessions/${session}`;
  const status = async () =>
    (
      (await (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).json()) as {
        status: string;
      }
    ).status;
  await until(async () => (await status()) === "sealed", "the seal", [], 60_000);
});
afterAll(async () => {
  store?.destroy();
  await site?.stop();
  await ceph?.stop();
  home.remove();
});

const keys = async (): Promise<string[]> =>
  ((await store.send(new ListObjectsV2Command({ Bucket: KEYS }))).Contents ?? []).map(({ Key = "" }) => Key);
const verify = (...flags: string[]) => {
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: ceph.accessKeyId,
    AWS_SECRET_ACCESS_KEY: ceph.secretAccessKey,
  };
  const [node, script] = [process.execPath, join(import.meta.dirname, "../../scripts/steno.ts")];
  return execFileSync(
    node,
    [script, "verify", `s3://${ceph.bucket}`, "--endpoint", ceph.endpoint, ...flags],
    {
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
};

test("the session's key is in its own bucket, and the store verifies without it and with it", async () => {
  expect(await keys()).toEqual([`keys/${session}.key.age`]);
  const without = verify();
  expect(without).toContain("session_sealed");
  expect(without).toContain("VALID COMPLETE");
  const withKeys = verify("--identity", identity, "--keys", `s3://${KEYS}`);
  expect(withKeys).not.toContain("session_sealed");
  expect(withKeys).toContain("VALID COMPLETE");
});

test("fetch opens it with the auditor's identity", async () => {
  const copy = join(home.path, "copy");
  const fetched = await site.node.cli("fetch", session, "-o", copy, "--identity", identity);
  expect(fetched).toMatchObject({ code: 0 });
  const frames = globSync(join(copy, "**/frames-*.ndjson.zst"));
  expect(frames.length).toBeGreaterThan(0);
  expect(execFileSync("zstdcat", frames, { encoding: "utf8" })).toContain("sealed to an auditor");
});

test("erasing deletes the key for good, and the archive still verifies", async () => {
  const token = await site.token("bob", "steno-console");
  const response = await fetch(`${site.node.console()}/api/v1/sessions/${session}/erase`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ reason: "DSR-2026-017" }),
  });
  expect([response.status, await response.text()]).toEqual([200, expect.stringContaining(session)]);
  await until(async () => (await keys()).length === 0, "the key to be gone");
  await until(() => verify().includes("session_erased"), "the erasure to be in the log");
});
