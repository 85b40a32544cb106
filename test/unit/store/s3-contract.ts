/** What the S3 archive promises beyond the port: run over the fake and over real stores, so that the fake is one. */
import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { FetchHttpHandler } from "@smithy/fetch-http-handler";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHECKPOINT } from "#durable/format/layout.ts";
import { type Archive, ArchiveFault } from "#durable/store/archive.ts";
import { s3Archive } from "#durable/store/s3-archive.ts";
import { bytesOf, fresh, keysOf } from "./archive-contract.ts";

/** A store with `bucket` under Object Lock and `plain`, a bucket without. */
export type Store = {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly bucket: string;
  readonly plain: string;
  stop(): Promise<void>;
};

const DAY_MS = 86_400_000;

export function archiveIn(store: Store, change: Partial<Parameters<typeof s3Archive>[0]> = {}): Archive {
  const place = {
    ...store,
    prefix: "archive/",
    retentionDays: 2,
    now: Date.now,
    timeoutMs: 20_000,
    pageSize: 3,
  };
  return s3Archive({ ...place, ...change });
}

export function s3Contract(name: string, make: () => Promise<Store>): void {
  describe(name, () => {
    let store: Store;
    let archive: Archive;
    let raw: S3Client;
    beforeAll(async () => {
      store = await make();
      archive = archiveIn(store);
      raw = new S3Client({
        endpoint: store.endpoint,
        region: store.region,
        forcePathStyle: true,
        credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
        requestHandler: new FetchHttpHandler(),
        requestChecksumCalculation: "WHEN_REQUIRED",
      });
    });
    afterAll(async () => await store?.stop());

    const object = (key: string) => ({ Bucket: store.bucket, Key: `archive/${key}` });
    async function versions(key: string): Promise<string[]> {
      const reply = await raw.send(
        new ListObjectVersionsCommand({ Bucket: store.bucket, Prefix: `archive/${key}` }),
      );
      return (reply.Versions ?? []).map((version) => version.VersionId ?? "");
    }

    test("a version put over an object is never read, and the object can still be put again", async () => {
      const key = `${fresh()}/a`;
      await archive.put(key, bytesOf("true"), { locked: true });
      for (const text of ["false", "falser", "falsest", "falsest of all"]) {
        await raw.send(new PutObjectCommand({ ...object(key), Body: bytesOf(text) }));
      }
      expect(await archive.get(key)).toEqual(bytesOf("true"));
      expect(await archive.stat(key)).toMatchObject({ bytes: 4, covered: true });
      expect((await archive.put(key, bytesOf("true"), { locked: true })).bytes).toBe(4);
      expect(await keysOf(archive, key)).toEqual([key]);
    });

    test("of the checkpoint the newest version is read, whatever lies under it, and a delete marker hides none", async () => {
      await archive.replace(CHECKPOINT, bytesOf("older"));
      await archive.put(`${CHECKPOINT}s/1-1`, bytesOf("kept"), { locked: true });
      await archive.replace(CHECKPOINT, bytesOf("newer"));
      await raw.send(new DeleteObjectCommand(object(CHECKPOINT)));
      expect(await archive.get(CHECKPOINT)).toEqual(bytesOf("newer"));
      await archive.replace(CHECKPOINT, bytesOf("newest"));
      expect(await archive.get(CHECKPOINT)).toEqual(bytesOf("newest"));
      expect(await keysOf(archive, CHECKPOINT)).toEqual([CHECKPOINT, `${CHECKPOINT}s/1-1`]);
    });

    test("a delete marker hides nothing, and putting again adds nothing", async () => {
      const key = `${fresh()}/a`;
      await archive.put(key, bytesOf("kept"), { locked: true });
      expect(await archive.stat(key)).not.toHaveProperty("covered");
      await raw.send(new DeleteObjectCommand(object(key)));
      expect(await archive.stat(key)).toMatchObject({ covered: true });
      expect(await archive.get(key)).toEqual(bytesOf("kept"));
      expect(await keysOf(archive, key)).toEqual([key]);
      await archive.put(key, bytesOf("kept"), { locked: true });
      expect(await versions(key)).toHaveLength(1);
    });

    test("a version of the same bytes, as a repeated put may leave, covers nothing", async () => {
      const key = `${fresh()}/a`;
      await archive.put(key, bytesOf("same"), { locked: true });
      await raw.send(new PutObjectCommand({ ...object(key), Body: bytesOf("same") }));
      expect(await archive.stat(key)).not.toHaveProperty("covered");
    });

    test("a locked object cannot be deleted, nor its retention shortened", async () => {
      const key = `${fresh()}/a`;
      await archive.put(key, bytesOf("kept"), { locked: true });
      const [VersionId] = await versions(key);
      await expect(raw.send(new DeleteObjectCommand({ ...object(key), VersionId }))).rejects.toThrow();
      const Retention = { Mode: "COMPLIANCE", RetainUntilDate: new Date(Date.now() + DAY_MS) } as const;
      await expect(
        raw.send(new PutObjectRetentionCommand({ ...object(key), VersionId, Retention })),
      ).rejects.toThrow();
      expect(await archive.get(key)).toEqual(bytesOf("kept"));
    });

    test("a repeated put extends a retention that has become too short, and leaves one that has not", async () => {
      const key = `${fresh()}/a`;
      await archive.put(key, bytesOf("x"), { locked: true });
      const first = (await archive.stat(key))?.retainUntil ?? 0;
      await archiveIn(store, { now: () => Date.now() + 600_000 }).put(key, bytesOf("x"), { locked: true });
      expect((await archive.stat(key))?.retainUntil).toBe(first);
      await archiveIn(store, { retentionDays: 5 }).put(key, bytesOf("x"), { locked: true });
      const extended = (await archive.stat(key))?.retainUntil ?? 0;
      expect(extended).toBeGreaterThanOrEqual(Date.now() + 5 * DAY_MS - 20_000);
      const later = archiveIn(store, { retentionDays: 5, now: () => Date.now() + 600_000 });
      await later.put(key, bytesOf("x"), { locked: true });
      expect((await archive.stat(key))?.retainUntil).toBe(extended);
      expect(await versions(key)).toHaveLength(1);
    });

    test("an object that was put free is locked when it is put locked", async () => {
      const key = `${fresh()}/a`;
      await archive.put(key, bytesOf("x"), { locked: false });
      await archive.put(key, bytesOf("x"), { locked: true });
      expect((await archive.stat(key))?.mode).toBe("COMPLIANCE");
      expect(await versions(key)).toHaveLength(1);
    });

    test("a bucket that is not there is a fault, not an absent object", async () => {
      const lost = archiveIn(store, { bucket: "no-such-bucket" });
      await expect(lost.get("a")).rejects.toBeInstanceOf(ArchiveFault);
      await expect(lost.stat("a")).rejects.toBeInstanceOf(ArchiveFault);
      await expect(keysOf(lost, "")).rejects.toBeInstanceOf(ArchiveFault);
      await expect(lost.put("a", bytesOf("x"), { locked: true })).rejects.toThrow(/NoSuchBucket/);
    });

    test("a refused access key is a fault that says so", async () => {
      const stranger = archiveIn(store, { accessKeyId: "stranger" });
      await expect(stranger.put("a", bytesOf("x"), { locked: true })).rejects.toThrow(
        /InvalidAccessKeyId|AccessDenied/,
      );
      await expect(stranger.get("a")).rejects.toBeInstanceOf(ArchiveFault);
    });

    test("a bucket without Object Lock refuses what is to be locked, and keeps the rest create-only", async () => {
      const key = `${fresh()}/a`;
      const plain = archiveIn(store, { bucket: store.plain });
      await expect(plain.put(key, bytesOf("x"), { locked: true })).rejects.toBeInstanceOf(ArchiveFault);
      expect(await plain.get(key)).toBeUndefined();
      await plain.put(key, bytesOf("x"), { locked: false });
      expect(await plain.get(key)).toEqual(bytesOf("x"));
      await expect(plain.put(key, bytesOf("y"), { locked: false })).rejects.toThrow(/holds 1 bytes/);
    });
  });
}
