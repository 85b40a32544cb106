// What the log says beside heads: once for each key, durable, published like a head, and never taken for one.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { mintSessionId, type SessionId } from "#durable/format/ids.ts";
import { entryKey } from "#durable/format/layout.ts";
import type { Attestable } from "#durable/format/log/attestation.ts";
import { fromBase64 } from "#durable/proof/bytes.ts";
import { openSaid } from "#durable/proof/seal.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { LEDGER_MIGRATIONS } from "#durable/store/log/rows.ts";
import { ledgerOf } from "#durable/stubs.ts";
import { bindings, failure, openSession, refuseInserts, request, rowsOf } from "./live-session.ts";
import { archive, clock, knowKey } from "./main.ts";

const stub = () => bindings.LEDGER.getByName("ledger");
const ledger = () => ledgerOf(bindings.LEDGER);
const forget = () => evictDurableObject(stub());
const HOUR = 3_600_000;

beforeAll(knowKey);
beforeEach(async () => {
  archive.faults.length = 0;
  clock.ahead = HOUR;
  await runInDurableObject(stub(), async (_, { storage }) => {
    await storage.deleteAlarm();
    storage.sql.exec("DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact");
  });
  await forget();
  archive.objects.clear();
});

const aSession = (): SessionId => mintSessionId(Date.now(), crypto.getRandomValues(new Uint8Array(10)));
const BY = `hmac:${"a".repeat(64)}`;
const read = (session = aSession()): Attestable => ({ kind: "read", session, by: BY, what: "view" });

async function saidAt(index: number) {
  await ledger().publish();
  const { attested, wrong } = await openSaid(
    archive.objects.get(entryKey(index)) ?? new Uint8Array(),
    undefined,
  );
  expect(wrong).toBeUndefined();
  return attested;
}

test("the same key and facts keep their place, at another time and after a restart; other facts are refused", async () => {
  const facts = read();
  expect(await ledger().attest("k", facts)).toBe(0);
  clock.ahead += 60_000;
  expect(await ledger().attest("k", facts)).toBe(0);
  await forget();
  expect(await ledger().attest("k", facts)).toBe(0);
  expect(await ledger().attest("l", facts)).toBe(1);
  const other = await failure(() => ledger().attest("k", { ...facts, what: "export" } as Attestable));
  expect(other).toContain("read k is in the ledger with other bytes");
});

test("asked for many times at once, under one key, it has one place", async () => {
  const facts = read();
  const places = await Promise.all(Array.from({ length: 8 }, () => ledger().attest("k", facts)));
  expect(new Set(places)).toEqual(new Set([0]));
  expect(await ledger().attest("l", facts)).toBe(1);
});

test("facts that are not of their kind are refused, and have no place", async () => {
  const bad = { kind: "read", session: aSession(), by: "Alice", what: "view" } as Attestable;
  expect(await failure(() => ledger().attest("k", bad))).toContain("a pseudonym");
  expect(await ledger().attest("k", read())).toBe(0);
});

test("one that SQL did not keep has no place, and takes the next when it is asked for again", async () => {
  const healed = await refuseInserts(stub(), "entry");
  expect(await failure(() => ledger().attest("k", read()))).toContain("disk is full");
  await healed();
  await forget();
  const facts = read();
  expect(await ledger().attest("k", facts)).toBe(0);
  expect(await saidAt(0)).toMatchObject({ kind: "read", predicate: { by: BY, what: "view" } });
});

test.each(["not kept", "kept"] as const)(
  "its bundle, when a put was %s, is published by the next round",
  async (how) => {
    await ledger().attest("k", read());
    archive.faults.push({ key: /^log\/entry\/0/, how, times: 1 });
    expect(await failure(() => ledger().publish())).not.toBe("");
    await forget();
    expect(await saidAt(0)).toMatchObject({ kind: "read" });
  },
);

test("beside the heads of a session it is verified as what it is, and its session is known", async () => {
  const live = await openSession("attested");
  await live.exchange();
  await ledger().attest("k", read(live.id));
  await live.session.end("request");
  await live.sealed();
  await ledger().attest("erased", {
    kind: "erasure",
    session: live.id,
    by: BY,
    keySha256: "e".repeat(64),
    reason: "DSR-1",
    state: "done",
  });
  await ledger().publish();
  expect(await verifyArchive(archive, { now: Date.now() })).toMatchObject({ findings: [], sessions: 1 });
  await ledger().attest("stranger", read());
  await ledger().publish();
  const { findings } = await verifyArchive(archive, { now: Date.now() });
  expect(findings.map(({ code, object }) => `${code} ${object}`)).toEqual([
    `attestation_contradicts ${entryKey(4)}`,
  ]);
});

const set = (letter: string): string => letter.repeat(64);

test("a policy set is said when it is news: not twice, not for a front that is late, and again when it comes back", async () => {
  const session = aSession();
  for (const letter of "aabab") await ledger().policy(set(letter), session);
  clock.ahead += 61_000;
  await ledger().policy(set("a"), session);
  await forget();
  await ledger().policy(set("a"), session);
  await ledger().policy(set("c"), session);
  const changes = [];
  for (const index of [0, 1, 2, 3]) changes.push((await saidAt(index))?.predicate);
  expect(changes).toMatchObject([
    { set: set("a") },
    { set: set("b"), before: set("a") },
    { set: set("a"), before: set("b") },
    { set: set("c"), before: set("a") },
  ]);
  expect(archive.objects.has(entryKey(4))).toBe(false);
});

test("a policy change that SQL did not keep is said at the next decision", async () => {
  await ledger().policy(set("a"), aSession());
  const healed = await refuseInserts(stub(), "fact");
  expect(await failure(() => ledger().policy(set("b"), aSession()))).toContain("disk is full");
  await healed();
  await forget();
  await ledger().policy(set("b"), aSession());
  expect((await saidAt(1))?.predicate).toMatchObject({ set: set("b"), before: set("a") });
  expect(archive.objects.has(entryKey(2))).toBe(false);
});

test("a head names the policy set of the newest decision, and the frames bear it out", async () => {
  const live = await openSession("policy in heads");
  const decided = (policies: string) =>
    ({ verdict: "allow", policies: ["p"], set: policies, reason: "", denied: [] }) as const;
  await live.exchange();
  const tape = request({ decision: decided(set("9")) });
  await live.session.begin(live.id, undefined, tape);
  await live.session.respond(tape.x, { status: 200, headers: [], end: "complete" });
  await live.session.end("request");
  await live.sealed();
  const bundle = JSON.parse(new TextDecoder().decode(archive.objects.get(entryKey(1)))) as {
    dsseEnvelope: { payload: string };
  };
  const payload = new TextDecoder().decode(fromBase64(bundle.dsseEnvelope.payload));
  expect(JSON.parse(payload)).toMatchObject({ predicate: { gateway: { policy: { sha256: set("9") } } } });
  expect(await verifyArchive(archive, { now: Date.now() })).toMatchObject({ findings: [] });
});

test("heads of a ledger that an earlier build made keep their places, and it goes on", async () => {
  const session = aSession();
  const [first = ""] = LEDGER_MIGRATIONS;
  await runInDurableObject(stub(), (_, { storage: { sql } }) => {
    const tables = sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*'")
      .toArray();
    for (const { name } of tables) if (name !== "migration") sql.exec(`DROP TABLE ${name}`);
    sql.exec("DELETE FROM migration");
    sql.exec(first);
    sql.exec("INSERT INTO migration(n, script) VALUES (0, ?)", first);
    sql.exec("INSERT INTO entry VALUES (0, ?, 0, zeroblob(32), x'01', '{}')", session);
  });
  await forget();
  expect(await ledger().attest("k", read())).toBe(1);
  expect(await rowsOf(stub(), "SELECT idx, key, hex(said) AS said FROM entry WHERE idx = 0")).toEqual([
    { idx: 0, key: `head ${session} 0`, said: "0".repeat(64) },
  ]);
});
