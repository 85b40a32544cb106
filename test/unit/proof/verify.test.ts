import { beforeAll, describe, expect, test } from "vitest";
import { entryKey, LOG_PQ_VKEY, LOG_VKEY, SEAL_PUB } from "#durable/format/layout.ts";
import { type Bytes, utf8 } from "#durable/proof/bytes.ts";
import type { FindingCode } from "#durable/proof/finding.ts";
import { importSealKey, readPem, spkiOf, toPem } from "#durable/proof/key.ts";
import { type Verified, type VerifyOptions, verifyArchive } from "#durable/proof/verify/archive.ts";
import { verifyFolder } from "#durable/proof/verify/folder.ts";
import { goodArchive, inlineSession, pushBody } from "./corpus.ts";
import { Archive, type Objects, START, source } from "./recording.ts";

const HOUR = 3_600_000;
const options: VerifyOptions = { now: START + 30 * HOUR };
const verify = (objects: Objects, more: Partial<VerifyOptions> = {}): Promise<Verified> =>
  verifyArchive(source(objects), { ...options, ...more });

let good: Objects;
/** Folders of the five sessions, in the order they were recorded: inline, bytes, long, truncated, push. */
let folders: string[];
/** Ledger: 0-1 inline, 2-3 bytes, 4-7 long, 8-9 truncated, 10-11 push. */
const ENTRIES = 12;

beforeAll(async () => {
  const archive = await goodArchive(pushBody(6));
  good = archive.objects;
  folders = [
    ...new Set([...good.keys()].filter((key) => key.startsWith("sessions/")).map((key) => key.slice(0, 51))),
  ];
});

const folder = (n: number): string => folders[n] ?? "";
const object = (key: string): Bytes => good.get(key) ?? new Uint8Array();
const without = (...keys: string[]): Objects => new Map([...good].filter(([key]) => !keys.includes(key)));
const flip = (key: string, at: number, bit = 1): Objects => {
  const bytes = object(key).slice();
  bytes[at] = (bytes[at] ?? 0) ^ bit;
  return new Map(good).set(key, bytes);
};

describe("a good archive", () => {
  test("is valid, and says of the session that was cut off that it was", async () => {
    const verified = await verify(good);
    expect(verified.findings.map(({ code, object }) => ({ code, object }))).toEqual([
      { code: "session_truncated", object: `${folder(3)}frames-000000.ndjson.zst` },
    ]);
    expect(verified).toMatchObject({ integrity: "VALID", completeness: "DEGRADED", sessions: 5 });
    expect(verified.key?.from).toBe("archive");
  });

  test.each([0, 1, 2, 4])("each of its sessions is valid and complete by itself: %i", async (n) => {
    const only = folder(n).slice(20, -1) as Parameters<typeof verifyArchive>[2];
    const verified = await verifyArchive(source(good), options, only);
    expect(verified).toMatchObject({
      findings: [],
      integrity: "VALID",
      completeness: "COMPLETE",
      sessions: 1,
    });
  });

  test("a session copied out of it is valid on its own, with or without its ledger entries", async () => {
    const alone: Objects = new Map(
      [...good].filter(([key]) => key.startsWith(folder(2))).map(([key, bytes]) => [key.slice(51), bytes]),
    );
    for (const key of [SEAL_PUB, LOG_VKEY, LOG_PQ_VKEY]) alone.set(key, object(key));
    expect((await verifyFolder(source(alone), options)).findings).toEqual([]);
    for (const index of [4, 5, 6, 7]) alone.set(entryKey(index), object(entryKey(index)));
    expect(await verifyFolder(source(alone), options)).toMatchObject({
      findings: [],
      completeness: "COMPLETE",
    });
    alone.delete(entryKey(5));
    expect((await verifyFolder(source(alone), options)).findings.map(({ code }) => code)).toEqual([
      "entry_missing",
    ]);
  });
});

/** One change to the objects of a good archive each, and what is found. */
type Case = readonly [name: string, change: () => Objects, code: FindingCode, object: () => string];

const seal = (n: number): string => `${folder(n)}seal.sigstore.json`;
const frames = (n: number, segment = 0): string => `${folder(n)}frames-00000${segment}.ndjson.zst`;
const swap = (a: string, b: string): Objects =>
  new Map(
    [...good].map(([key, bytes]) => {
      if (key.startsWith(a)) return [key.replace(a, b), bytes];
      return key.startsWith(b) ? [key.replace(b, a), bytes] : [key, bytes];
    }),
  );

const changed: readonly Case[] = [
  ["a frames segment is gone", () => without(frames(2, 1)), "object_missing", () => frames(2, 1)],
  [
    "a bytes segment is gone",
    () => without(`${folder(1)}bytes-000000.bin`),
    "object_missing",
    () => `${folder(1)}bytes-000000.bin`,
  ],
  ["a seal is gone", () => without(seal(0)), "object_missing", () => seal(0)],
  [
    "a whole session folder is gone",
    () => new Map([...good].filter(([key]) => !key.startsWith(folder(0)))),
    "object_missing",
    () => seal(0),
  ],
  ["an open head is gone from the ledger", () => without(entryKey(2)), "entry_missing", () => entryKey(2)],
  ["a progress head is gone from the ledger", () => without(entryKey(5)), "entry_missing", () => entryKey(5)],
  ["the first entries are gone", () => without(entryKey(0), entryKey(1)), "entry_missing", () => entryKey(0)],
  [
    "the last entry and its seal are gone",
    () => without(entryKey(ENTRIES - 1), seal(4)),
    "session_open",
    () => folder(4),
  ],
  [
    "the last entry is gone, its seal is not",
    () => without(entryKey(ENTRIES - 1)),
    "entry_missing",
    () => folder(4),
  ],
  ["the key is gone", () => without(SEAL_PUB), "key_missing", () => SEAL_PUB],
  ["the key is no key", () => new Map(good).set(SEAL_PUB, utf8("hello")), "key_malformed", () => SEAL_PUB],
  [
    "the key is written otherwise",
    () => new Map(good).set(SEAL_PUB, utf8(` ${new TextDecoder().decode(object(SEAL_PUB))}`)),
    "key_malformed",
    () => SEAL_PUB,
  ],
  [
    "an object was put into a session",
    () => new Map(good).set(`${folder(1)}notes.txt`, utf8("x")),
    "object_unknown",
    () => `${folder(1)}notes.txt`,
  ],
  [
    "an object was put beside the sessions",
    () => new Map(good).set("sessions/x", utf8("x")),
    "object_unknown",
    () => "sessions/x",
  ],
  [
    "an object was put into the ledger",
    () => new Map(good).set("log/entry/007.sigstore.json", utf8("x")),
    "object_unknown",
    () => "log/entry/007.sigstore.json",
  ],
  [
    "a frames segment is another session's",
    () => new Map(good).set(frames(0), object(frames(1))),
    "segment_altered",
    () => frames(0),
  ],
  [
    "a frames segment is empty",
    () => new Map(good).set(frames(0), new Uint8Array()),
    "segment_altered",
    () => frames(0),
  ],
  ["two sessions are swapped", () => swap(folder(0), folder(1)), "head_session", () => seal(0)],
  [
    "a head is in the ledger twice",
    () => new Map(good).set(entryKey(ENTRIES), object(entryKey(0))),
    "entry_duplicate",
    () => entryKey(ENTRIES),
  ],
  [
    "a seal is the open head",
    () => new Map(good).set(seal(0), object(entryKey(0))),
    "head_sequence",
    () => seal(0),
  ],
  [
    "a seal is an earlier head",
    () => new Map(good).set(seal(2), object(entryKey(6))),
    "seal_differs",
    () => seal(2),
  ],
  [
    "an entry is nothing",
    () => new Map(good).set(entryKey(3), new Uint8Array()),
    "head_malformed",
    () => entryKey(3),
  ],
];

describe("one change to a good archive", () => {
  test.each(changed)("%s: it is found, and the object is named", async (_, change, code, where) => {
    const { findings } = await verify(change());
    expect(findings.map((finding) => `${finding.code} ${finding.object}`)).toContain(`${code} ${where()}`);
  });

  test("without a key nothing is valid, since nothing is known to be signed", async () => {
    expect(await verify(without(SEAL_PUB))).toMatchObject({
      integrity: "INVALID",
      completeness: "INCOMPLETE",
    });
    const own = await importSealKey(readPem(new TextDecoder().decode(object(SEAL_PUB))));
    expect(await verify(without(SEAL_PUB), { key: own })).toMatchObject({ integrity: "VALID" });
  });

  test("what is missing leaves the rest valid and makes it incomplete", async () => {
    const verified = await verify(without(frames(2, 1)));
    expect(verified).toMatchObject({ integrity: "VALID", completeness: "INCOMPLETE" });
    expect(verified.findings.filter(({ severity }) => severity === "error")).toHaveLength(1);
  });

  test("an open head without a terminal one says how old it is", async () => {
    const { findings } = await verify(without(entryKey(ENTRIES - 1), seal(4)));
    expect(findings.find(({ code }) => code === "session_open")?.message).toMatch(/30\.0 hours old/);
  });

  test("a bad head of one session is found when only that session is asked after, and not for another", async () => {
    const bad = flip(entryKey(5), object(entryKey(5)).byteLength - 20);
    const only = async (n: number) =>
      (
        await verifyArchive(
          source(bad),
          options,
          folder(n).slice(20, -1) as Parameters<typeof verifyArchive>[2],
        )
      ).findings;
    expect((await only(2)).map(({ code, object: where }) => `${code} ${where}`)).toEqual([
      `head_signature ${entryKey(5)}`,
    ]);
    expect(await only(1)).toEqual([]);
  });

  test("segments of a session that is still open are not unknown objects", async () => {
    const { findings } = await verify(without(entryKey(7), seal(2)));
    expect(findings.map(({ code }) => code)).not.toContain("object_unknown");
  });

  test("another key at the archive than the auditor's is said of the key", async () => {
    const { publicKey } = (await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
      "sign",
      "verify",
    ])) as CryptoKeyPair;
    const spki = spkiOf(new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)));
    const other = await importSealKey(spki);
    const found = async (objects: Objects, more: Partial<VerifyOptions> = {}) =>
      (await verify(objects, more)).findings.map(({ code, object: where }) => `${code} ${where}`);
    expect(await found(good, { key: other })).toEqual(
      expect.arrayContaining([`key_other ${SEAL_PUB}`, `head_key ${entryKey(0)}`, `head_key ${seal(0)}`]),
    );
    expect(await found(new Map(good).set(SEAL_PUB, utf8(toPem(spki))))).toContain(`key_other ${SEAL_PUB}`);
  });

  test("heads of another ledger than the auditor's are said to be", async () => {
    const { findings } = await verify(good, { origin: "another.example" });
    expect(findings.filter(({ code }) => code === "head_origin").map(({ object: where }) => where)).toContain(
      entryKey(0),
    );
  });
});

describe("any flipped byte", () => {
  test("of any object of a good archive is found, and the object is named", async () => {
    for (const [key, bytes] of good) {
      for (let i = 0; i < 6; i++) {
        const at = Math.floor(((i + 0.37) * bytes.byteLength) / 6);
        const { findings } = await verify(flip(key, at, 1 << (i % 8)));
        expect(
          findings.map((finding) => finding.object),
          `${key} at ${at}`,
        ).toContain(key);
      }
    }
  }, 120_000);

  test("anywhere in any object of a small archive is found, and the object is named", async () => {
    const archive = new Archive();
    await inlineSession(archive);
    const small = archive.objects;
    expect((await verify(small)).findings).toEqual([]);
    for (const [key, bytes] of small) {
      // Large ones are mostly base64 of one payload and of one signature, of which every byte is bent in log.test.ts.
      for (let at = 0; at < bytes.byteLength; at += bytes.byteLength < 1024 ? 1 : 7) {
        const bent = bytes.slice();
        bent[at] = (bent[at] ?? 0) ^ (1 << (at % 8));
        const { findings } = await verify(new Map(small).set(key, bent));
        if (!findings.some((finding) => finding.object === key)) expect.fail(`${key} at ${at}`);
      }
    }
  }, 300_000);
});
