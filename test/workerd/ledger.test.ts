// The ledger's rounds: each put failed or lost, each restart between them, a restored backup, another name.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mintSessionId, type SessionId } from "#durable/format/ids.ts";
import { CHECKPOINT, entryKey } from "#durable/format/layout.ts";
import { readUtf8, toBase64 } from "#durable/proof/bytes.ts";
import { openCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { makeSignedHead, openBundle, type SignedHead } from "#durable/proof/seal.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { ledgerOf } from "#durable/stubs.ts";
import { logSigner, ORIGIN } from "#test/support/log-signer.ts";
import { alice, bindings, failure, openSession, request, rowsOf } from "./live-session.ts";
import { archive, clock, knowKey, log } from "./main.ts";

const stub = () => bindings.LEDGER.getByName("ledger");
/** Asked for anew at each use: one that has seen its object break stays broken. */
const ledger = () => ledgerOf(bindings.LEDGER);
const forget = () => evictDurableObject(stub());

/** How far the ledger's clock is ahead of the runtime's: alarms ring only when a test rings them. */
const HOUR = 3_600_000;

beforeAll(knowKey);
beforeEach(async () => {
  archive.faults.length = 0;
  clock.ahead = HOUR;
  log.origin = ORIGIN;
  // Another log for each test: tables and archive both begin empty, and nothing of the last test is on its way.
  await runInDurableObject(stub(), async (_, { storage }) => {
    await storage.deleteAlarm();
    storage.sql.exec("DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact");
  });
  await forget();
  archive.objects.clear();
  archive.tried.length = 0;
});

let heads = 0;
/** A signed head as far as the ledger looks into one: nothing of its payload. */
function head(text = `head ${heads++}`): { session: SessionId; head: string } {
  const session = mintSessionId(Date.now(), crypto.getRandomValues(new Uint8Array(10)));
  const payload = toBase64(new TextEncoder().encode(text));
  const signed: SignedHead = makeSignedHead(
    { payload, payloadType: "application/vnd.in-toto+json", signatures: [{ sig: "MAYCAQECAQE=" }] },
    new Uint8Array(91),
  );
  return { session, head: JSON.stringify(signed) };
}

async function append(count: number): Promise<number[]> {
  const calls = Array.from({ length: count }, () => {
    const { session, head: text } = head();
    return ledger().append(session, 0, text);
  });
  return (await Promise.all(calls)).toSorted((a, b) => a - b);
}

/** What an auditor finds of the log, but for its heads, which are none here. */
async function findings(): Promise<string[]> {
  const verified = await verifyArchive(archive, { now: Date.now() });
  const heads = /^(head_|key_other|object_unknown sessions)/;
  return verified.findings
    .map(({ code, object }) => `${code} ${object}`)
    .filter((found) => !heads.test(found));
}

async function newest() {
  const opened = await openCheckpoint(
    readUtf8(archive.objects.get(CHECKPOINT) ?? new Uint8Array()) ?? "",
    (await logSigner()).keys,
  );
  if (typeof opened === "string" || opened.wrong) throw new Error(JSON.stringify(opened));
  return { size: opened.checkpoint.size, at: opened.at };
}

const keys = (prefix: string): string[] =>
  [...archive.objects.keys()].filter((key) => key.startsWith(prefix)).sort();

describe("rounds", () => {
  test("heads that were appended together are published with one checkpoint, which each of them brings", async () => {
    expect(await append(5)).toEqual([0, 1, 2, 3, 4]);
    expect(archive.tried).toEqual([]);
    await ledger().publish();
    expect(await newest()).toMatchObject({ size: 5 });
    expect(keys("log/checkpoints/")).toHaveLength(1);
    const notes = keys("log/entry/").map((key) => {
      const bundle = openBundle(archive.objects.get(key) ?? new Uint8Array());
      if (typeof bundle === "string") throw new Error(bundle);
      return bundle.verificationMaterial.tlogEntries[0].inclusionProof.checkpoint.envelope;
    });
    expect(new Set(notes)).toEqual(new Set([readUtf8(archive.objects.get(CHECKPOINT) ?? new Uint8Array())]));
    expect(await findings()).toEqual([]);
  });

  test("a head that is appended again keeps its index, and with other bytes it is refused", async () => {
    const { session, head: text } = head();
    expect(await ledger().append(session, 0, text)).toBe(0);
    expect(await ledger().append(session, 0, text)).toBe(0);
    expect(await ledger().append(session, 1, head().head)).toBe(1);
    expect(await failure(() => ledger().append(session, 0, head().head))).toContain("with other bytes");
  });

  test("objects go out in the order tiles, checkpoint, its locked copy, bundles", async () => {
    await append(2);
    await ledger().publish();
    const kinds = archive.tried.map((key) =>
      key.replace(/^(trust|log\/tile|log\/checkpoints|log\/entry)\/.*/, "$1"),
    );
    expect([...new Set(kinds)]).toEqual(["trust", "log/tile", CHECKPOINT, "log/checkpoints", "log/entry"]);
  });

  test("the bundle of an entry is what the archive has, also when the ledger has forgotten it", async () => {
    await append(2);
    const fresh = await ledger().bundle(1);
    await forget();
    expect(await ledger().bundle(1)).toBe(fresh);
    expect(readUtf8(archive.objects.get(entryKey(1)) ?? new Uint8Array())).toBe(fresh);
    expect(await failure(() => ledger().bundle(2))).toContain("not in the archive");
  });

  test("a tree past a full tile has every tile, and keeps only what is still needed of its entries", async () => {
    await append(250);
    await ledger().publish();
    await append(270);
    await ledger().publish();
    expect(keys("log/tile/")).toEqual(
      [
        "0/000",
        "0/000.p/250",
        "0/001",
        "0/002.p/8",
        "1/000.p/2",
        "entries/000",
        "entries/000.p/250",
        "entries/001",
        "entries/002.p/8",
      ].map((path) => `log/tile/${path}`),
    );
    expect(await findings()).toEqual([]);
    const [left] = await rowsOf(
      stub(),
      "SELECT count(head) AS heads, count(body) AS bodies, count(leaf) AS leaves FROM entry",
    );
    expect(left).toEqual({ heads: 0, bodies: 8, leaves: 520 });
  });

  test("what waited while the archive was away is published in rounds of at most 512", async () => {
    await append(600);
    await ledger().publish();
    expect(keys("log/checkpoints/").map((key) => key.split("/")[2]?.split("-")[0])).toEqual(["512", "600"]);
    expect(await findings()).toEqual([]);
  });

  test("ten minutes without an entry give the same tree a newer checkpoint, and nothing else", async () => {
    await append(1);
    await ledger().publish();
    const { at = 0 } = await newest();
    await runDurableObjectAlarm(stub());
    expect((await newest()).at).toBe(at);
    clock.ahead += 601_000;
    archive.tried.length = 0;
    await runDurableObjectAlarm(stub());
    const again = await newest();
    expect(again.size).toBe(1);
    expect(again.at).toBeGreaterThanOrEqual(at + 600);
    expect(archive.tried).toEqual([CHECKPOINT, `log/checkpoints/1-${again.at}`]);
    expect(await findings()).toEqual([]);
  });
});

/** Every put of a round, by what it is for. */
const STEPS = [
  "trust/",
  "log/tile/0",
  "log/tile/entries",
  "log/checkpoint$",
  "log/checkpoints/",
  "log/entry/1",
];

describe("a put that fails", () => {
  for (const how of ["not kept", "kept"] as const)
    for (const step of STEPS)
      for (const restart of [false, true]) {
        const name = `of ${step}, ${how}, ${restart ? "and then a restart" : "and then another try"}`;
        test(`${name}: the log is whole, with one checkpoint for its size`, async () => {
          await append(1);
          if (step !== "trust/") await ledger().publish();
          await append(2);
          archive.faults.push({ key: new RegExp(`^${step}`), how, times: 1 });
          expect(await failure(() => ledger().publish())).not.toBe("");
          if (restart) await forget();
          // What comes after the failure is not in the checkpoint that was signed before it.
          await append(1);
          await ledger().publish();
          expect(await newest()).toMatchObject({ size: 4 });
          expect(keys("log/entry/")).toHaveLength(4);
          expect(await findings()).toEqual([]);
          const sizes = keys("log/checkpoints/").map((key) => key.split("/")[2]?.split("-")[0]);
          expect(sizes).toEqual(step === "trust/" ? ["3", "4"] : ["1", "3", "4"]);
        });
      }

  test("by its alarm it is tried again without anybody asking", async () => {
    await append(1);
    archive.faults.push({ key: /^log\/checkpoint$/, how: "kept", times: 2 });
    for (let i = 0; i < 3; i++) await runDurableObjectAlarm(stub());
    expect(await findings()).toEqual([]);
    expect(keys("log/entry/")).toEqual([entryKey(0)]);
  });

  test("a signature that was made and not kept in SQL was seen by nobody, and the next is for the tree as it is then", async () => {
    await append(1);
    const abort = "BEGIN SELECT RAISE(ABORT, 'disk is full'); END";
    await rowsOf(stub(), `CREATE TRIGGER full BEFORE INSERT ON checkpoint ${abort}`);
    expect(await failure(() => ledger().publish())).toContain("disk is full");
    expect(keys("log/")).toEqual([]);
    await rowsOf(stub(), "DROP TRIGGER full");
    await append(1);
    await ledger().publish();
    expect(keys("log/checkpoints/")).toHaveLength(1);
    expect(await findings()).toEqual([]);
  });
});

describe("a ledger that is not the one that wrote the archive", () => {
  const REFUSED = "restore the ledger that wrote this archive";

  async function refuses(why: string): Promise<void> {
    await forget();
    const { session, head: text } = head();
    const before = new Map(archive.objects);
    const said = await failure(() => ledger().append(session, 0, text));
    expect(said).toContain(why);
    expect(said).toContain(REFUSED);
    expect(await failure(() => ledger().publish())).toSatisfy(
      (error: string) => error === "" || error.includes(why),
    );
    expect(archive.objects).toEqual(before);
  }

  test("an older copy of it takes no head and signs nothing: the log is not forked", async () => {
    await append(2);
    await ledger().publish();
    const older = await rowsOf(stub(), "SELECT * FROM checkpoint");
    await append(1);
    await ledger().publish();
    // The backup of before the third head is put back.
    await rowsOf(stub(), "DELETE FROM entry WHERE idx = 2; DELETE FROM checkpoint");
    const [row] = older;
    const values = ["size", "at", "start", "root", "edge", "note", "published"].map(
      (name) => row?.[name] ?? null,
    );
    await rowsOf(stub(), "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, ?)", ...values);
    await refuses("has 3 entries, the ledger signed 2");
  });

  test("a new one does not go on with an old archive", async () => {
    await append(1);
    await ledger().publish();
    await rowsOf(stub(), "DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact");
    await refuses("has 1 entries, the ledger signed 0");
  });

  test("one of the same size with another root does not sign", async () => {
    await append(1);
    await ledger().publish();
    await rowsOf(stub(), "UPDATE checkpoint SET root = zeroblob(32)");
    await refuses("has another root");
  });

  test("one under another name signs nothing, until the name is the old one again", async () => {
    await append(1);
    await ledger().publish();
    log.origin = "other.example";
    await refuses("under another origin");
    log.origin = ORIGIN;
    await forget();
    expect(await append(1)).toEqual([1]);
    await ledger().publish();
    expect(await findings()).toEqual([]);
  });

  test("an archive with a checkpoint that cannot be read is not signed over", async () => {
    await append(1);
    await ledger().publish();
    archive.objects.set(CHECKPOINT, new Uint8Array([1, 2, 3]));
    await refuses("not a signed note");
  });

  test("a session is not opened: what would be recorded has no place", async () => {
    await append(1);
    await ledger().publish();
    await rowsOf(stub(), "DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact");
    await forget();
    expect(
      await failure(() =>
        openSession("refused").then((live) => live.session.begin(live.id, alice, request())),
      ),
    ).toContain(REFUSED);
  });
});

test("a session that opens after a checkpoint says so, in its first frame and in its heads", async () => {
  const first = await openSession("not before 1");
  await first.exchange();
  await first.session.end("request");
  await first.sealed();
  const second = await openSession("not before 2");
  await second.exchange();
  await second.session.end("request");
  await second.sealed();
  expect(first.frames()[0]?.["notBefore"]).toBeUndefined();
  const notBefore = second.frames()[0]?.["notBefore"];
  expect(notBefore).toMatchObject({ origin: ORIGIN, size: 2 });
  const bundle = openBundle(archive.objects.get(entryKey(2)) ?? new Uint8Array());
  if (typeof bundle === "string") throw new Error(bundle);
  const { predicate } = JSON.parse(atob(bundle.dsseEnvelope.payload)) as {
    predicate: { notBefore: unknown };
  };
  expect(predicate.notBefore).toEqual(notBefore);
  expect(await verifyArchive(archive, { now: Date.now() })).toMatchObject({
    findings: [],
    integrity: "VALID",
  });
});
