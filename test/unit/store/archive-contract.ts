/** What every archive promises, whatever is behind it. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHECKPOINT } from "#durable/format/layout.ts";
import { type Archive, ArchiveConflict } from "#durable/store/archive.ts";

export type Subject = { readonly archive: Archive; stop(): Promise<void> };

const DAY_MS = 86_400_000;

export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
export const some = (length: number): Uint8Array<ArrayBuffer> => new Uint8Array(randomBytes(length));
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
/** A folder of its own for each test: nothing is ever deleted. */
export const fresh = (): string => `sessions/2026/11/22/ses_${randomBytes(8).toString("hex")}`;

export async function keysOf(archive: Archive, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of archive.list(prefix)) keys.push(key);
  return keys;
}

/** `make` gives an archive whose listings come in pages of 3 where it has pages. */
export function archiveContract(name: string, make: () => Promise<Subject>): void {
  describe(name, () => {
    let subject: Subject;
    let archive: Archive;
    beforeAll(async () => {
      subject = await make();
      archive = subject.archive;
    });
    afterAll(async () => await subject?.stop());

    for (const length of [0, 1, 1024, 3 * 1024 * 1024]) {
      test(`${length} bytes come back as they were put`, async () => {
        const key = `${fresh()}/bytes-000000.bin`;
        const bytes = some(length);
        expect(await archive.put(key, bytes, { locked: true })).toEqual({
          key,
          bytes: length,
          sha256: sha256(bytes),
        });
        expect(Buffer.compare(Buffer.from((await archive.get(key)) ?? []), Buffer.from(bytes))).toBe(0);
        expect((await archive.stat(key))?.bytes).toBe(length);
      });
    }

    test("a view into a larger buffer is stored as the view, not as the buffer", async () => {
      const key = `${fresh()}/a`;
      const view = some(1000).subarray(100, 150);
      await archive.put(key, view, { locked: false });
      expect(Array.from((await archive.get(key)) ?? [])).toEqual(Array.from(view));
    });

    test("the same bytes put again succeed and are there once", async () => {
      const folder = fresh();
      const first = await archive.put(`${folder}/a`, bytesOf("same"), { locked: true });
      expect(await archive.put(`${folder}/a`, bytesOf("same"), { locked: true })).toEqual(first);
      expect(await keysOf(archive, folder)).toEqual([`${folder}/a`]);
    });

    test("other bytes for a key conflict and change nothing", async () => {
      const key = `${fresh()}/a`;
      await archive.put(key, bytesOf("first"), { locked: true });
      await expect(archive.put(key, bytesOf("other"), { locked: true })).rejects.toBeInstanceOf(
        ArchiveConflict,
      );
      await expect(archive.put(key, bytesOf("longer than first"), { locked: false })).rejects.toBeInstanceOf(
        ArchiveConflict,
      );
      expect(await archive.get(key)).toEqual(bytesOf("first"));
    });

    test("of 8 racing puts of different bytes one succeeds, and its bytes are the ones kept", async () => {
      const key = `${fresh()}/a`;
      const puts = Array.from({ length: 8 }, (_, writer) => bytesOf(`writer ${writer}`));
      const outcomes = await Promise.allSettled(
        puts.map((bytes) => archive.put(key, bytes, { locked: true })),
      );
      const won = outcomes.flatMap((outcome, writer) =>
        outcome.status === "fulfilled" ? [puts[writer]] : [],
      );
      expect(won).toHaveLength(1);
      expect(await archive.get(key)).toEqual(won[0]);
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(ArchiveConflict);
      }
    });

    test("8 racing puts of the same bytes all succeed and are listed once", async () => {
      const folder = fresh();
      const puts = Array.from({ length: 8 }, () =>
        archive.put(`${folder}/a`, bytesOf("same"), { locked: true }),
      );
      expect((await Promise.all(puts)).map((stored) => stored.bytes)).toEqual(Array(8).fill(4));
      expect(await keysOf(archive, folder)).toEqual([`${folder}/a`]);
    });

    test("an absent key is undefined, and nothing is below an absent prefix", async () => {
      const folder = fresh();
      expect(await archive.get(`${folder}/a`)).toBeUndefined();
      expect(await archive.stat(`${folder}/a`)).toBeUndefined();
      expect(await keysOf(archive, folder)).toEqual([]);
    });

    test("keys are listed ascending by byte over pages and folders, by any prefix", async () => {
      const folder = fresh();
      const names = ["1.json", "10.json", "2.json", "a-b", "a.c", "a/b", "a/c/d", "a_", "aa", "b=1/x"];
      for (const name of [...names].reverse()) {
        await archive.put(`${folder}/${name}`, bytesOf(name), { locked: false });
      }
      const whole = names.map((name) => `${folder}/${name}`).sort((a, b) => (a < b ? -1 : 1));
      expect(await keysOf(archive, `${folder}/`)).toEqual(whole);
      expect(await keysOf(archive, `${folder}/1`)).toEqual([`${folder}/1.json`, `${folder}/10.json`]);
      expect(await keysOf(archive, `${folder}/a/`)).toEqual([`${folder}/a/b`, `${folder}/a/c/d`]);
      expect((await keysOf(archive, "")).filter((key) => key.startsWith(folder))).toEqual(whole);
    });

    test("a key that is the beginning of another is a different one", async () => {
      const folder = fresh();
      await archive.put(`${folder}/entry.1`, bytesOf("one"), { locked: false });
      await archive.put(`${folder}/entry.10`, bytesOf("ten"), { locked: false });
      expect(await archive.get(`${folder}/entry.1`)).toEqual(bytesOf("one"));
      expect(await archive.get(`${folder}/entry.`)).toBeUndefined();
    });

    test("what was put locked is retained as long as the archive promises, the rest not at all", async () => {
      const folder = fresh();
      const { mode, days } = archive.retention;
      const before = Date.now();
      await archive.put(`${folder}/locked`, bytesOf("x"), { locked: true });
      await archive.put(`${folder}/free`, bytesOf("x"), { locked: false });
      const locked = await archive.stat(`${folder}/locked`);
      expect(await archive.stat(`${folder}/free`)).toEqual({ bytes: 1 });
      expect(locked?.mode).toBe(mode === "none" ? undefined : "COMPLIANCE");
      const until = mode === "none" ? Number.POSITIVE_INFINITY : (locked?.retainUntil ?? 0);
      expect(until).toBeGreaterThanOrEqual(before + days * DAY_MS);
    });

    test("what replaced the checkpoint last is what is there, once and free, and a repeated replace changes nothing", async () => {
      for (const text of ["first", "second, longer", "third", "third"]) {
        const bytes = bytesOf(text);
        expect(await archive.replace(CHECKPOINT, bytes)).toEqual({
          key: CHECKPOINT,
          bytes: bytes.byteLength,
          sha256: sha256(bytes),
        });
        expect(await archive.get(CHECKPOINT)).toEqual(bytes);
        expect(await archive.stat(CHECKPOINT)).toEqual({ bytes: bytes.byteLength });
      }
      expect(await keysOf(archive, CHECKPOINT)).toEqual([CHECKPOINT]);
    });

    test("a checkpoint that is replaced while it is read is read whole, the old one or the new", async () => {
      const texts = [some(100_000), some(50_000)];
      await archive.replace(CHECKPOINT, texts[0] ?? bytesOf(""));
      const replaced = archive.replace(CHECKPOINT, texts[1] ?? bytesOf(""));
      const read = await Promise.all(Array.from({ length: 8 }, () => archive.get(CHECKPOINT)));
      await replaced;
      const known = texts.map(sha256);
      for (const bytes of read) expect(known).toContain(sha256(bytes ?? bytesOf("")));
    });

    test("no other key is replaced, and that one is not put", async () => {
      await expect(archive.replace(`${fresh()}/a`, bytesOf("x"))).rejects.toBeInstanceOf(RangeError);
      await expect(archive.put(CHECKPOINT, bytesOf("x"), { locked: false })).rejects.toBeInstanceOf(
        RangeError,
      );
    });

    const notKeys = [
      "",
      "/a",
      "a/",
      "a//b",
      "../a",
      "a/../b",
      "./a",
      ".hidden",
      "a/.tmp",
      "a b",
      "a%2fb",
      "ä",
      "a\\b",
    ];
    test.each([...notKeys, "a\u0000", "x".repeat(201), "a/".repeat(300)])("%j is no key", async (key) => {
      await expect(archive.put(key, bytesOf("x"), { locked: false })).rejects.toBeInstanceOf(RangeError);
      await expect(archive.get(key)).rejects.toBeInstanceOf(RangeError);
      await expect(archive.stat(key)).rejects.toBeInstanceOf(RangeError);
    });

    test("a prefix that no key begins with by its form is refused", async () => {
      await expect(keysOf(archive, "../")).rejects.toBeInstanceOf(RangeError);
      await expect(keysOf(archive, "/")).rejects.toBeInstanceOf(RangeError);
    });
  });
}
