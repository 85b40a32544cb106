/** Archives over what they meet in earnest: Ceph's Object Lock, and workerd. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { GetObjectLegalHoldCommand, ListObjectsV2Command, type S3Client } from "@aws-sdk/client-s3";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { ArchiveFault, type Stored } from "#durable/store/archive.ts";
import { S3Keys } from "#durable/store/keys/s3-keys.ts";
import { s3Probe } from "#durable/store/probe/s3-probe.ts";
import { directoryEndpoint } from "#scripts/archive/directory-endpoint.ts";
import { type S3Server, startS3 } from "#test/support/servers/s3.ts";
import { archiveContract, bytesOf, fresh, keysOf, sha256, some } from "#test/unit/store/archive-contract.ts";
import { archiveIn, type Store, s3Contract } from "#test/unit/store/s3-contract.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const MIB = 1024 * 1024;

let ceph: S3Server;
let store: Store;
beforeAll(async () => {
  ceph = await startS3({ bucket: "locked" });
  await ceph.createBucket("plain", { objectLock: false });
  const { endpoint, region, accessKeyId, secretAccessKey, bucket } = ceph;
  store = { endpoint, region, accessKeyId, secretAccessKey, bucket, plain: "plain", stop: async () => {} };
});
afterAll(async () => await ceph?.stop());

archiveContract("Ceph with Object Lock", async () => ({ archive: archiveIn(store), stop: async () => {} }));
s3Contract("Ceph, which ignores If-None-Match under Object Lock", async () => store);

describe("Ceph", () => {
  test("64 MiB, the largest segment, pass in both directions", async () => {
    const archive = archiveIn(store, { timeoutMs: 60_000 });
    const key = `${fresh()}/bytes-000000.bin`;
    const bytes = some(64 * MIB);
    expect((await archive.put(key, bytes, { locked: true })).sha256).toBe(sha256(bytes));
    expect(sha256((await archive.get(key)) ?? new Uint8Array())).toBe(sha256(bytes));
  });

  test("session keys in a bucket without versions are replaced, and gone when they are deleted", async () => {
    const keys = new S3Keys({ ...store, bucket: "plain", prefix: "keys-test/", timeoutMs: 30_000 });
    const session = "ses_01KAZ00000000000000000000A" as SessionId;
    expect(await keys.unfit()).toEqual([]);
    expect(await keys.get(session)).toBeUndefined();
    await keys.remove(session);
    await keys.put(session, some(275));
    const second = some(300);
    await keys.put(session, second);
    expect(await keys.get(session)).toEqual(second);
    expect(await listed(keys)).toEqual([session]);
    await keys.remove(session);
    expect(await keys.get(session)).toBeUndefined();
    expect(await listed(keys)).toEqual([]);
  });

  test("a bucket that keeps versions or locks is said to be unfit for session keys; deleting there takes every version", async () => {
    const keys = new S3Keys({ ...store, prefix: "keys-test/", timeoutMs: 30_000 });
    const session = "ses_01KAZ00000000000000000000B" as SessionId;
    expect((await keys.unfit()).join()).toMatch(/keeps versions.*has Object Lock/);
    await keys.put(session, some(275));
    await keys.put(session, some(276));
    await keys.remove(session);
    expect(await keys.get(session)).toBeUndefined();
    expect(await listed(keys)).toEqual([]);
  });

  test("a legal hold is set on an object and lifted", async () => {
    const archive = archiveIn(store);
    const key = `${fresh()}/frames-000000.ndjson.zst.age`;
    await archive.put(key, some(100), { locked: true });
    const s3 = ceph.client();
    const status = async () => {
      const Key = await nameOf(s3, key);
      return (await s3.send(new GetObjectLegalHoldCommand({ Bucket: store.bucket, Key }))).LegalHold?.Status;
    };
    await archive.legalHold?.(key, true);
    expect(await status()).toBe("ON");
    await archive.legalHold?.(key, false);
    expect(await status()).toBe("OFF");
    s3.destroy();
  });

  test("is probed: it keeps what is locked, takes second puts, and is graded limited for that alone", async () => {
    const place = { ...store, prefix: "probed/", now: Date.now, timeoutMs: 30_000 };
    const { grade, results, reasons } = await s3Probe(place).probe("one");
    expect(results.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
      "create held",
      "retention held",
      "second-put failed",
      "race failed",
      "delete-version held",
      "shorten held",
    ]);
    expect(grade).toBe("limited");
    expect(reasons.join()).toMatch(/^second-put: .*,race: of 8 puts of one key at once, 8 are taken$/);
  });

  test("of a bucket without Object Lock the probe says so", async () => {
    const place = { ...store, bucket: "plain", prefix: "probed/", now: Date.now, timeoutMs: 30_000 };
    const { grade, reasons } = await s3Probe(place).probe("two");
    expect({ grade, first: reasons[0] }).toMatchObject({
      grade: "limited",
      first: expect.stringMatching(/^create: a put with Object Lock COMPLIANCE is refused: 4\d\d$/),
    });
  });

  test("a wrong secret is a fault that says so", async () => {
    const stranger = archiveIn(store, { secretAccessKey: "wrong" });
    await expect(stranger.put("a", bytesOf("x"), { locked: true })).rejects.toThrow(/SignatureDoesNotMatch/);
  });

  test("while the gateway is down everything is a fault, and the same put succeeds when it is back", async () => {
    const archive = archiveIn(store, { timeoutMs: 5_000 });
    const key = `${fresh()}/a`;
    await ceph.goDown();
    await expect(archive.put(key, bytesOf("x"), { locked: true })).rejects.toBeInstanceOf(ArchiveFault);
    await expect(archive.get(key)).rejects.toBeInstanceOf(ArchiveFault);
    await expect(keysOf(archive, "")).rejects.toBeInstanceOf(ArchiveFault);
    await ceph.comeBack();
    expect((await archive.put(key, bytesOf("x"), { locked: true })).bytes).toBe(1);
  });
});

describe("inside workerd", () => {
  let workerd: Workerd;
  let stopEndpoint: () => Promise<void>;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "steno-archive-"));
    const socket = join(folder, "run", "archive.sock");
    const endpoint = await directoryEndpoint({ root: join(folder, "archive"), socket });
    stopEndpoint = () => endpoint.stop();
    workerd = await startWorkerd(folder, store, socket);
  });
  afterAll(async () => {
    await workerd?.stop();
    await stopEndpoint?.();
    await rm(folder, { recursive: true, force: true });
  });

  for (const kind of ["s3", "directory"] as const) {
    test.each([1024, 8 * MIB])(`${kind}: %i bytes are put, read back and found`, async (length) => {
      const key = `${fresh()}/bytes-000000.bin`;
      const bytes = some(length);
      const stored: Stored = { key, bytes: length, sha256: sha256(bytes) };
      expect(await workerd.ask(kind, "put", key, bytes)).toEqual(stored);
      expect(await workerd.ask(kind, "put", key, bytes)).toEqual(stored);
      expect(await workerd.ask(kind, "get", key)).toEqual({ bytes: length, sha256: stored.sha256 });
      expect(await workerd.ask(kind, "stat", key)).toMatchObject({ bytes: length });
      expect(await workerd.ask(kind, "list", key.slice(0, -4))).toEqual([key]);
    });

    test(`${kind}: other bytes are a conflict by name, an absent key is nothing`, async () => {
      const key = `${fresh()}/a`;
      await workerd.ask(kind, "put", key, bytesOf("first"));
      expect(await workerd.ask(kind, "put", key, bytesOf("other"))).toMatchObject({
        error: "ArchiveConflict",
      });
      expect(await workerd.ask(kind, "stat", `${key}b`)).toBeNull();
    });
  }

  test("what workerd put on S3 is under COMPLIANCE, and Node reads it", async () => {
    const key = `${fresh()}/a`;
    await workerd.ask("s3", "put", key, bytesOf("x"));
    const archive = archiveIn(store);
    expect(await archive.get(key)).toEqual(bytesOf("x"));
    expect((await archive.stat(key))?.mode).toBe("COMPLIANCE");
  });

  test("a store that is down is a fault by name, and works again when it is back", async () => {
    const key = `${fresh()}/a`;
    await ceph.goDown();
    expect(await workerd.ask("s3", "put", key, bytesOf("x"))).toMatchObject({ error: "ArchiveFault" });
    await ceph.comeBack();
    expect(await workerd.ask("s3", "put", key, bytesOf("x"))).toMatchObject({ bytes: 1 });
  });
});

type Workerd = {
  ask(kind: "s3" | "directory", verb: string, key: string, body?: Uint8Array<ArrayBuffer>): Promise<unknown>;
  stop(): Promise<void>;
};

/** Bare workerd with two ways out: the store for all that it fetches, and the directory's socket. */
async function startWorkerd(folder: string, s3: Store, socket: string): Promise<Workerd> {
  await build({
    entryPoints: [join(ROOT, "test/conformance/archive-worker.ts")],
    outfile: join(folder, "worker.js"),
    bundle: true,
    format: "esm",
    platform: "node",
    conditions: ["workerd"],
    mainFields: ["module", "main"],
    target: "es2024",
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire("/");' },
  });
  const { stop: _stop, plain: _plain, ...place } = s3;
  const settings = JSON.stringify({
    ...place,
    prefix: "archive/",
    retentionDays: 2,
    timeoutMs: 20_000,
    pageSize: 3,
  });
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2026-11-01",
      globalOutbound = "store",
      bindings = [(name = "S3", json = ${JSON.stringify(settings)}), (name = "DIRECTORY", service = "directory")],
    )),
    (name = "store", external = (address = "${new URL(s3.endpoint).host}", http = ())),
    (name = "directory", external = (address = "unix:${socket}", http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;
  await writeFile(join(folder, "config.capnp"), config);
  const binary = createRequire(import.meta.url).resolve("workerd/bin/workerd");
  const child = spawn(binary, ["serve", "config.capnp", "--control-fd=3"], {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const port = await listening(child);
  return {
    async ask(kind, verb, key, body) {
      const url = `http://127.0.0.1:${port}/${kind}/${verb}?key=${encodeURIComponent(key)}`;
      return await (await fetch(url, { method: "POST", ...(body ? { body } : {}) })).json();
    },
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill();
      await ended;
    },
  };
}

async function listed(keys: S3Keys): Promise<SessionId[]> {
  const found: SessionId[] = [];
  for await (const session of keys.list()) found.push(session);
  return found;
}

/** Under which name the bucket has a key: archives of tests have prefixes. */
async function nameOf(s3: S3Client, key: string): Promise<string> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: store.bucket }));
  const found = Contents.find(({ Key }) => Key?.endsWith(key))?.Key;
  if (found === undefined) throw new Error(`${key} is not listed`);
  return found;
}

/** The port workerd tells on its control pipe. */
function listening(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = "";
    (child.stdio[3] as Readable).on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const port = /"event":"listen".*?"port":(\d+)/.exec(text)?.[1];
      if (port) resolve(Number(port));
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`workerd ended with ${code} before it listened`)));
  });
}
