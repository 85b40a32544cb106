// The daily file of sealed sessions: written once a day is over, its digest in the log, whatever fails on the way.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { parquetReadObjects } from "hyparquet";
import { beforeAll, beforeEach, expect, test, vi } from "vitest";
import { indexKey } from "#durable/format/layout.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { ledgerOf } from "#durable/stubs.ts";
import { bindings, openSession, refuseInserts, rowsOf } from "./live-session.ts";
import { archive, clock, knowKey } from "./main.ts";

const stub = () => bindings.LEDGER.getByName("ledger");
const ring = () => runDurableObjectAlarm(stub());
const DAY = 86_400_000;
const today = (): string => new Date(Date.now() + clock.ahead).toISOString().slice(0, 10);

beforeAll(knowKey);
beforeEach(async () => {
  archive.faults.length = 0;
  clock.ahead = 3_600_000;
  await runInDurableObject(stub(), async (_, { storage }) => {
    await storage.deleteAlarm();
    storage.sql.exec("DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact");
    storage.sql.exec("DELETE FROM sealed; DELETE FROM listed");
  });
  await evictDurableObject(stub());
  archive.objects.clear();
});

async function sealedSession(key: string): Promise<string> {
  const live = await openSession(key);
  await live.exchange();
  await live.session.end("request");
  await live.sealed();
  return live.id;
}
/** Sessions in a part, as a reader of Parquet finds them. */
async function listed(day: string, part: number): Promise<unknown[]> {
  const bytes = archive.objects.get(indexKey(day, part));
  if (!bytes) throw new Error(`no part ${part} of ${day}`);
  return (await parquetReadObjects({ file: bytes.buffer })).map(({ session }) => session);
}
/** Work that comes due with the next day; the alarm rings because something is appended. */
async function nextDay(): Promise<void> {
  clock.ahead += DAY;
  await ringSoon();
}
let rings = 0;
async function ringSoon(): Promise<void> {
  const by = `hmac:${"a".repeat(64)}`;
  const [known] = await rowsOf(stub(), "SELECT key FROM entry WHERE key LIKE 'head %' LIMIT 1");
  const session = String(known?.["key"]).split(" ")[1] as never;
  await ledgerOf(bindings.LEDGER).attest(`ring ${rings++}`, { kind: "read", session, by, what: "view" });
  await ring();
}
const soon = (holds: () => unknown) => vi.waitFor(holds, { timeout: 60_000 });
const waiting = async (): Promise<unknown> =>
  (await rowsOf(stub(), "SELECT count(*) AS n FROM sealed"))[0]?.["n"];
const findings = async (): Promise<string[]> => {
  await ledgerOf(bindings.LEDGER).publish();
  const verified = await verifyArchive(archive, { now: Date.now() });
  return verified.findings.map(({ code, object }) => `${code} ${object}`);
};

test("a day's sessions are in one file the day after, which the log vouches for, and its rows are gone", async () => {
  const day = today();
  const sessions = [await sealedSession("index a"), await sealedSession("index b")];
  await ringSoon();
  expect([...archive.objects.keys()].filter((key) => key.startsWith("index/"))).toEqual([]);
  await nextDay();
  await soon(async () => expect(await waiting()).toBe(0));
  expect(await listed(day, 0)).toEqual(sessions);
  expect(await findings()).toEqual([]);
  const bytes = archive.objects.get(indexKey(day, 0)) ?? new Uint8Array();
  archive.objects.set(
    indexKey(day, 0),
    bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte)),
  );
  expect(await findings()).toEqual([`index_altered ${indexKey(day, 0)}`]);
});

test.each(["not kept", "kept"] as const)(
  "a file whose put was %s is written again with the same bytes, though another session has come to the day",
  async (how) => {
    const day = today();
    const first = await sealedSession(`index ${how}`);
    archive.faults.push({ key: /^index\//, how, times: 1 });
    await nextDay();
    await soon(async () => expect(await rowsOf(stub(), "SELECT part FROM sealed")).toEqual([{ part: 0 }]));
    clock.ahead -= DAY;
    const late = await sealedSession(`index late ${how}`);
    await evictDurableObject(stub());
    await nextDay();
    await soon(async () => expect(await waiting()).toBe(0));
    expect(await listed(day, 0)).toEqual([first]);
    expect(await listed(day, 1)).toEqual([late]);
    expect(await findings()).toEqual([]);
  },
);

test("one that the log did not take is told to it again, and listed once", async () => {
  const day = today();
  const session = await sealedSession("index sql");
  clock.ahead += DAY;
  const healed = await refuseInserts(stub(), "listed");
  await ringSoon();
  await soon(() => expect(archive.objects.has(indexKey(day, 0))).toBe(true));
  await healed();
  await evictDurableObject(stub());
  await ringSoon();
  await soon(async () => expect(await waiting()).toBe(0));
  expect(await listed(day, 0)).toEqual([session]);
  expect(await rowsOf(stub(), "SELECT key FROM entry WHERE key LIKE 'index %'")).toEqual([
    { key: `index ${day} 0` },
  ]);
});

test("a key that an earlier build has taken costs a number, and nothing else", async () => {
  const day = today();
  const session = await sealedSession("index taken");
  archive.objects.set(indexKey(day, 0), new Uint8Array([1]));
  await nextDay();
  await soon(async () => expect(await rowsOf(stub(), "SELECT part FROM sealed")).toEqual([{ part: 1 }]));
  await ringSoon();
  await soon(async () => expect(await waiting()).toBe(0));
  expect(await listed(day, 1)).toEqual([session]);
  expect(await findings()).toEqual([]);
});
