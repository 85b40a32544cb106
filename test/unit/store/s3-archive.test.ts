import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHECKPOINT } from "#durable/format/layout.ts";
import { ArchiveConflict, ArchiveFault } from "#durable/store/archive.ts";
import { archiveContract, bytesOf, fresh, keysOf, some } from "./archive-contract.ts";
import { FakeS3, type Fault } from "./fake-s3.ts";
import { archiveIn, type Store, s3Contract } from "./s3-contract.ts";

async function fakeStore(honoursIfNoneMatch: boolean): Promise<Store & { readonly fake: FakeS3 }> {
  const fake = await new FakeS3({ honoursIfNoneMatch }).start();
  fake.makeBucket("locked", { locks: true });
  fake.makeBucket("plain", { locks: false });
  const { endpoint, region, accessKeyId, secretAccessKey } = fake;
  const place = { endpoint, region, accessKeyId, secretAccessKey, bucket: "locked", plain: "plain" };
  return { ...place, fake, stop: () => fake.stop() };
}

async function fakeArchive(honoursIfNoneMatch: boolean) {
  const store = await fakeStore(honoursIfNoneMatch);
  return { archive: archiveIn(store), stop: () => store.stop() };
}

archiveContract("an S3 store that honours If-None-Match", () => fakeArchive(true));
archiveContract("an S3 store that ignores If-None-Match", () => fakeArchive(false));
s3Contract("a store that honours If-None-Match", () => fakeStore(true));

for (const honours of [true, false]) {
  describe(`faults of a store that ${honours ? "honours" : "ignores"} If-None-Match`, () => {
    let store: Awaited<ReturnType<typeof fakeStore>>;
    beforeAll(async () => {
      store = await fakeStore(honours);
    });
    afterAll(async () => await store.stop());

    /** Two puts of the same bytes with a fault met by the first; what the first threw, and what is kept. */
    async function twice(faults: readonly Fault[], timeoutMs = 20_000) {
      const key = `${fresh()}/a`;
      const archive = archiveIn(store);
      store.fake.next("PUT", ...faults);
      const first = await archiveIn(store, { timeoutMs })
        .put(key, bytesOf("bytes"), { locked: true })
        .then(
          () => "kept",
          (error: unknown) => error,
        );
      const second = await archive.put(key, bytesOf("bytes"), { locked: true }).then(
        () => "kept",
        (error: unknown) => error,
      );
      const stat = await archive.stat(key);
      return { key, first, second, stat, kept: store.fake.kept("locked", `archive/${key}`).map(String) };
    }

    const once: [string, Fault][] = [
      ["a 500", { status: 500 }],
      ["a 503", { status: 503 }],
      ["a 409", { status: 409 }],
      ["a 412 without an object", { status: 412 }],
      ["a reset before the object was kept", { reset: "before" }],
      ["a reset after the object was kept", { reset: "after" }],
      ["a slow answer", { slowMs: 200 }],
    ];
    test.each(once)("%s, once, costs the writer nothing and doubles nothing", async (_name, fault) => {
      expect(await twice([fault])).toMatchObject({ first: "kept", second: "kept", kept: ["bytes"] });
    });

    test.each(once.slice(0, 5))(
      "%s, until the put gives up, is a fault with its cause; putting again succeeds",
      async (_name, fault) => {
        const { first, second, kept } = await twice([fault, fault]);
        expect(first).toBeInstanceOf(ArchiveFault);
        expect((first as ArchiveFault).cause).toBeInstanceOf(Error);
        expect({ second, kept }).toEqual({ second: "kept", kept: ["bytes"] });
      },
    );

    test.each(["kept", "lost"] as const)(
      "no answer in time, the object %s, is a fault; putting again succeeds",
      async (silence) => {
        const { first, second, kept } = await twice([{ silence }], 400);
        expect(first).toBeInstanceOf(ArchiveFault);
        expect(String(first)).toContain("not done within 400 ms");
        expect({ second, kept }).toEqual({ second: "kept", kept: ["bytes"] });
      },
    );

    test("bytes that the store changed are found by reading back, and stay a conflict for somebody to look at", async () => {
      const { first, second, kept } = await twice([{ keeps: "other bytes" }]);
      expect(first).toBeInstanceOf(ArchiveFault);
      expect(String(first)).toContain("the store changed what was sent");
      expect(second).toBeInstanceOf(ArchiveConflict);
      expect(kept).toEqual(["!ytes"]);
    });

    test("an object that the store says it kept and does not have is a fault; putting again succeeds", async () => {
      const { first, second, kept } = await twice([{ keeps: "nothing" }, { keeps: "nothing" }]);
      expect(String(first)).toContain("the store took it and does not list it");
      expect({ second, kept }).toEqual({ second: "kept", kept: ["bytes"] });
    });

    test.each(["no retention", "a shorter retention", "GOVERNANCE"] as const)(
      "%s instead of the lock asked for is a fault; putting again extends it",
      async (keeps) => {
        const { first, second, stat, kept } = await twice([{ keeps }]);
        expect(first).toBeInstanceOf(ArchiveFault);
        expect(String(first)).toContain("the store did not lock as asked");
        expect({ second, kept }).toEqual({ second: "kept", kept: ["bytes"] });
        expect(stat?.mode).toBe("COMPLIANCE");
        expect(stat?.retainUntil).toBeGreaterThanOrEqual(Date.now() + 2 * 86_400_000 - 20_000);
      },
    );

    test("an extension that the store ignores is a fault, as often as it ignores it", async () => {
      const key = `${fresh()}/a`;
      await archiveIn(store).put(key, bytesOf("bytes"), { locked: true });
      const longer = archiveIn(store, { retentionDays: 9 });
      store.fake.next("RETAIN", { keeps: "nothing" }, { keeps: "nothing" });
      for (let again = 0; again < 2; again++) {
        await expect(longer.put(key, bytesOf("bytes"), { locked: true })).rejects.toThrow(
          /did not extend as asked/,
        );
      }
      expect((await longer.put(key, bytesOf("bytes"), { locked: true })).bytes).toBe(5);
    });

    test.each([
      ["a 503", { status: 503 }],
      ["a reset before it was kept", { reset: "before" }],
      ["a reset after it was kept", { reset: "after" }],
      ["other bytes kept", { keeps: "other bytes" }],
      ["nothing kept", { keeps: "nothing" }],
    ] as const)("a replace that meets %s is a fault, and the same again succeeds", async (_name, fault) => {
      const archive = archiveIn(store);
      await archive.replace(CHECKPOINT, bytesOf("before"));
      store.fake.next("PUT", fault);
      await expect(archive.replace(CHECKPOINT, bytesOf("after"))).rejects.toBeInstanceOf(ArchiveFault);
      await archive.replace(CHECKPOINT, bytesOf("after"));
      expect(await archive.get(CHECKPOINT)).toEqual(bytesOf("after"));
    });

    test("a lost reply and then a writer with other bytes: the writer gets a conflict and the first bytes stay", async () => {
      const key = `${fresh()}/a`;
      store.fake.next("PUT", { silence: "kept" });
      const first = archiveIn(store, { timeoutMs: 300 }).put(key, bytesOf("first"), { locked: true });
      await expect(first).rejects.toBeInstanceOf(ArchiveFault);
      const archive = archiveIn(store);
      await expect(archive.put(key, bytesOf("other"), { locked: true })).rejects.toBeInstanceOf(
        ArchiveConflict,
      );
      expect(await archive.get(key)).toEqual(bytesOf("first"));
    });

    test.each(["ends", "stalls"] as const)(
      "an answer whose body %s halfway is a fault, never a shorter object",
      async (body) => {
        const key = `${fresh()}/a`;
        const archive = archiveIn(store);
        const hurried = archiveIn(store, { timeoutMs: 500 });
        const bytes = some(200_000);
        await archive.put(key, bytes, { locked: true });
        store.fake.next("GET", { body });
        await expect(hurried.get(key)).rejects.toBeInstanceOf(ArchiveFault);
        store.fake.next("GET", { body });
        await expect(hurried.put(key, bytes, { locked: true })).rejects.toBeInstanceOf(ArchiveFault);
        expect(await archive.get(key)).toEqual(bytes);
      },
    );
  });
}

test("a store that is not there is a fault within the deadline", async () => {
  const store = await fakeStore(true);
  await store.stop();
  const archive = archiveIn(store, { timeoutMs: 2_000 });
  await expect(archive.put("a", bytesOf("x"), { locked: true })).rejects.toBeInstanceOf(ArchiveFault);
  await expect(archive.get("a")).rejects.toBeInstanceOf(ArchiveFault);
  await expect(keysOf(archive, "")).rejects.toBeInstanceOf(ArchiveFault);
});

test("a key that is not one reaches no store", async () => {
  const store = await fakeStore(true);
  await expect(archiveIn(store).put("../a", bytesOf("x"), { locked: true })).rejects.toBeInstanceOf(
    RangeError,
  );
  expect(store.fake.seen).toEqual([]);
  await store.stop();
});

test("a put carries Content-MD5, If-None-Match, its length and its lock, and no chunks", async () => {
  const store = await fakeStore(true);
  await archiveIn(store).put("a", bytesOf("x"), { locked: true });
  expect(store.fake.put).toMatchObject({
    "content-md5": createHash("md5").update("x").digest("base64"),
    "if-none-match": "*",
    "content-length": "1",
    "x-amz-object-lock-mode": "COMPLIANCE",
  });
  expect(store.fake.put["transfer-encoding"]).toBeUndefined();
  await archiveIn(store).put("b", bytesOf("x"), { locked: false });
  expect(store.fake.put["x-amz-object-lock-mode"]).toBeUndefined();
  await store.stop();
});

test.each([
  ["without a marker", /does not say where it goes on/],
  ["again", /does not go on/],
  ["unordered", /out of order/],
] as const)("a page %s is a fault, never a shorter or an endless listing", async (page, says) => {
  const store = await fakeStore(true);
  const archive = archiveIn(store);
  for (const name of ["a", "b", "c", "d", "e", "f", "g"])
    await archive.put(name, bytesOf(name), { locked: false });
  store.fake.next("LIST", ...(page === "again" ? [{ slowMs: 0 }] : []), ...Array<Fault>(4).fill({ page }));
  await expect(keysOf(archive, "")).rejects.toThrow(says);
  await store.stop();
});

test("a read-back that ends early without an error is a fault, not a conflict", async () => {
  const store = await fakeStore(true);
  await archiveIn(store).put("a", bytesOf("bytes"), { locked: true });
  const cutting: typeof fetch = async (input, init) => {
    const reply = await fetch(input, init);
    if (!String(input instanceof Request ? input.url : input).includes("versionId=")) return reply;
    return new Response((await reply.bytes()).subarray(0, 3), { headers: reply.headers });
  };
  const archive = archiveIn(store, { fetch: cutting });
  await expect(archive.put("a", bytesOf("bytes"), { locked: true })).rejects.toThrow(
    "3 of the 5 bytes announced",
  );
  await expect(archive.get("a")).rejects.toBeInstanceOf(ArchiveFault);
  await store.stop();
});
