// `steno verify s3://…` on what a whole node sealed into a real store with Object Lock (Ceph), and on what was done to it since.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Archive } from "#durable/store/archive.ts";
import { isReplaced } from "#durable/store/key.ts";
import { s3Archive } from "#durable/store/s3-archive.ts";
import { endSessions, type GitSite, startGitSite } from "#test/support/git-site.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { type S3Server, startS3 } from "#test/support/servers/s3.ts";
import { cli } from "#test/support/steno.ts";
import { keysOf } from "#test/unit/store/archive-contract.ts";

const PREFIX = "evidence/";
const DAYS = 2;

let ceph: S3Server;
let site: GitSite;
let environment: NodeJS.ProcessEnv;
/** What the node put, in its own bucket. */
let sealed: Archive;
/** Keys of what the node put, the seal's and a segment's. */
let keys: string[];
let seal: string;
let segment: string;

beforeAll(async () => {
  ceph = await startS3();
  const env = {
    AWS_ACCESS_KEY_ID: ceph.accessKeyId,
    AWS_SECRET_ACCESS_KEY: ceph.secretAccessKey,
    AWS_ENDPOINT_URL: ceph.endpoint,
  };
  const { AWS_REGION: _, AWS_DEFAULT_REGION: __, AWS_SESSION_TOKEN: ___, ...kept } = process.env;
  environment = { ...kept, ...env };
  site = await startGitSite({
    archive: {
      kind: "s3",
      endpoint: ceph.endpoint,
      bucket: ceph.bucket,
      prefix: PREFIX,
      access_key: "env:AWS_ACCESS_KEY_ID",
      secret_key: "env:AWS_SECRET_ACCESS_KEY",
      retention_days: DAYS,
    },
    env,
  });
  await tinyRepository(join(site.server.root, "app.git"));
  const client = await site.client();
  await client.clone(site.url("app.git"));
  await endSessions(site.node, await site.oidc.token({ sub: "dave", audience: "steno-console" }));
  sealed = archiveIn(ceph.bucket, DAYS);
  keys = await keysOf(sealed, "");
  seal = keys.find((key) => key.endsWith("/seal.sigstore.json")) ?? "";
  segment = keys.find((key) => key.endsWith("/frames-000000.ndjson.zst")) ?? "";
});
afterAll(async () => {
  await site?.stop();
  await ceph?.stop();
});

function archiveIn(bucket: string, retentionDays: number): Archive {
  const { endpoint, region, accessKeyId, secretAccessKey } = ceph;
  const place = { endpoint, region, bucket, prefix: PREFIX, accessKeyId, secretAccessKey };
  return s3Archive({ ...place, retentionDays, now: Date.now, timeoutMs: 20_000 });
}

/** A bucket of its own with what the node put, `instead` in place of some of it. */
async function copied(
  bucket: string,
  days: number,
  instead: Record<string, Uint8Array> = {},
): Promise<string> {
  await ceph.createBucket(bucket);
  const archive = archiveIn(bucket, days);
  for (const key of keys) {
    const bytes = instead[key] ?? (await sealed.get(key)) ?? new Uint8Array();
    if (isReplaced(key)) await archive.replace(key, new Uint8Array(bytes));
    else await archive.put(key, new Uint8Array(bytes), { locked: true });
  }
  return `s3://${bucket}/${PREFIX}`;
}

async function put(bucket: string, key: string, Body: string | undefined): Promise<void> {
  const client = ceph.client();
  const object = { Bucket: bucket, Key: `${PREFIX}${key}` };
  if (Body === undefined) await client.send(new DeleteObjectCommand(object));
  else await client.send(new PutObjectCommand({ ...object, Body }));
  client.destroy();
}

const verify = (args: string[], env = environment) => cli(["verify", ...args], "", env);

test("a sealed bucket verifies with the auditor's key, retention included, and nothing is found", async () => {
  const key = join(site.node.directory, "state/keys/seal.pub");
  expect(existsSync(key)).toBe(true);
  const { code, out, err } = await verify([`s3://${ceph.bucket}/evidence`, "--key", key]);
  expect(`${err}${out}`).toMatch(/^VALID COMPLETE sessions=\d+ frames=\d+\n$/);
  expect(code).toBe(0);
});

test("one session of a bucket is verified against the bucket's ledger, with flags in place of variables", async () => {
  const { AWS_ENDPOINT_URL: _, ...without } = environment;
  const folder = seal.slice(0, seal.lastIndexOf("/"));
  const flags = ["--endpoint", `${ceph.endpoint}/`, "--region", "us-east-1"];
  const { code, out, err } = await verify([`s3://${ceph.bucket}/${PREFIX}${folder}`, ...flags], without);
  expect(out).toMatch(/^VALID COMPLETE sessions=1 frames=\d+\n$/);
  expect(err).toContain(`s3://${ceph.bucket}/evidence/trust/seal.pub`);
  expect(code).toBe(0);
});

test("a copy with one object replaced is not what was sealed", async () => {
  const url = await copied("replaced", DAYS, { [segment]: new TextEncoder().encode("not what was sealed") });
  const { code, out } = await verify([url]);
  expect(out).toContain(`segment_altered ${segment}: `);
  expect(out).toMatch(/\nINVALID \w+ sessions=1 frames=\d+\n$/);
  expect(code).toBe(1);
});

test("a copy that is kept for less than the heads promise is found object by object, and stays valid", async () => {
  const url = await copied("short", 1);
  const { code, out } = await verify([url, "--json"]);
  const verified = JSON.parse(out) as { integrity: string; findings: { code: string; object: string }[] };
  expect(new Set(verified.findings.map((finding) => finding.code))).toEqual(new Set(["retention_short"]));
  const objects = verified.findings.map(({ object }) => object);
  expect(objects.toSorted()).toEqual(
    keys.filter((key) => /^(sessions|log\/(entry|checkpoints))\//.test(key)).toSorted(),
  );
  expect(verified.integrity).toBe("VALID");
  expect(code).toBe(1);
});

test("a version or a delete marker put over an object is found; what was sealed is read, and valid", async () => {
  const url = await copied("covered", DAYS);
  await put("covered", segment, "another version");
  await put("covered", seal, undefined);
  const { code, out } = await verify([url]);
  expect(out).toContain(`object_covered ${segment}: `);
  expect(out).toContain(`object_covered ${seal}: `);
  expect(out).toMatch(/\nVALID COMPLETE sessions=1 frames=\d+\n$/);
  expect(code).toBe(1);
});

test.each([
  ["a prefix with nothing below it", "s3://steno/nowhere", {}, "holds no archive"],
  ["a bucket that is not there", "s3://no-such-bucket", {}, "NoSuchBucket"],
  ["a wrong secret", "s3://steno/evidence", { AWS_SECRET_ACCESS_KEY: "wrong" }, "SignatureDoesNotMatch"],
  ["a store that is not there", "s3://steno/evidence", { AWS_ENDPOINT_URL: "http://127.0.0.1:1" }, "list"],
])("%s gives no verdict: exit 2", async (_, url, over, says) => {
  const { code, out, err } = await verify([url], { ...environment, ...over });
  expect(err).toContain(says);
  expect(out).toBe("");
  expect(code).toBe(2);
});
