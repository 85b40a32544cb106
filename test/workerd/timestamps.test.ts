// Timestamps of checkpoints and seals: what a ledger stores of them, each fault on the way, and what a verifier finds.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { TRUSTED_ROOT, TSA_CERTIFICATES } from "#durable/format/layout.ts";
import { readUtf8, utf8 } from "#durable/proof/bytes.ts";
import { openBundle, stampedBytes, stampOf } from "#durable/proof/seal.ts";
import { readToken, wrongDigest } from "#durable/proof/timestamp/token.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { ledgerOf } from "#durable/stubs.ts";
import { type MemoryTsa, memoryTsa, type TsaMood } from "#test/support/memory-tsa.ts";
import { bindings, failure, openSession, rowsOf } from "./live-session.ts";
import { archive, authority, clock, knowKey } from "./main.ts";

const stub = () => bindings.LEDGER.getByName("ledger");
const ledger = () => ledgerOf(bindings.LEDGER);
const forget = () => evictDurableObject(stub());
const now = () => Date.now() + clock.ahead;
let tsa: MemoryTsa;

beforeAll(knowKey);
beforeEach(async () => {
  archive.faults.length = 0;
  clock.ahead = 3_600_000;
  tsa = await memoryTsa({ now, restMs: 60_000 });
  authority.tsa = tsa.client;
  await runInDurableObject(stub(), async (_, { storage }) => {
    await storage.deleteAlarm();
    storage.sql.exec("DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact; DELETE FROM stamp");
    storage.sql.exec("DELETE FROM sealed; DELETE FROM listed");
  });
  await forget();
  archive.objects.clear();
});
afterEach(() => {
  authority.tsa = undefined;
});

const keys = (pattern: RegExp): string[] =>
  [...archive.objects.keys()].filter((key) => pattern.test(key)).sort();
const object = (key: string) => archive.objects.get(key) ?? new Uint8Array();

let sessions = 0;
async function sealed(): Promise<string> {
  const live = await openSession(`stamped ${sessions++}`);
  await live.exchange();
  await live.session.end("request");
  await live.sealed();
  return live.id;
}

async function attested(key: string): Promise<void> {
  const change = {
    kind: "policy-change",
    set: key.padEnd(64, "0"),
    session: `ses_${"0".repeat(26)}` as never,
  };
  await ledger().attest(key, change as never);
}

async function findings(of = tsa): Promise<string[]> {
  const { findings } = await verifyArchive(archive, { now: now(), tsa: of.chain });
  return findings
    .map(({ code, object }) => `${code} ${object}`)
    .filter((found) => !/^(object_unknown sessions|attestation_contradicts)/.test(found));
}

describe("with an authority", () => {
  test("every checkpoint has a timestamp over its note, and every seal one over its signature; heads before it have none", async () => {
    const id = await sealed();
    const checkpoints = keys(/^log\/checkpoints\/\d+-\d+$/);
    expect(keys(/^log\/checkpoints\/.*tsr$/)).toEqual(checkpoints.map((key) => `${key}.tsr`));
    for (const key of checkpoints) {
      const token = readToken(object(`${key}.tsr`));
      if (typeof token === "string") throw new Error(token);
      expect(wrongDigest(token, object(key))).toBeUndefined();
    }
    const [seal = ""] = keys(new RegExp(`${id}/seal`));
    const bundle = openBundle(object(seal));
    if (typeof bundle === "string") throw new Error(bundle);
    const token = readToken(stampOf(bundle) ?? new Uint8Array());
    if (typeof token === "string") throw new Error(token);
    expect(wrongDigest(token, stampedBytes(bundle))).toBeUndefined();
    const open = openBundle(object("log/entry/0.sigstore.json"));
    if (typeof open === "string") throw new Error(open);
    expect(stampOf(open)).toBeUndefined();
    expect(await findings()).toEqual([]);
    expect(await rowsOf(stub(), "SELECT * FROM stamp")).toEqual([]);
  });

  test("whose certificates nobody gave, checkpoints have timestamps and seals none, which Sigstore's clients would refuse", async () => {
    const unknown = await memoryTsa({ now, unknown: true });
    authority.tsa = unknown.client;
    const id = await sealed();
    expect(keys(/tsr$/)).not.toEqual([]);
    expect(readUtf8(object(keys(new RegExp(`${id}/seal`))[0] ?? ""))).not.toContain("signedTimestamp");
    expect(keys(/^trust\/tsa/)).toEqual([]);
    expect(await findings(unknown)).toEqual([expect.stringMatching(/^timestamp_missing log\/entry/)]);
  });

  test("the archive has its certificates, and the trusted root names it; another later is added, and the first stays", async () => {
    await sealed();
    const [first = ""] = keys(/^trust\/tsa\//);
    expect(object(TSA_CERTIFICATES)).toEqual(object(first));
    const authorities = () =>
      (JSON.parse(readUtf8(object(TRUSTED_ROOT)) ?? "") as { timestampAuthorities: unknown[] })
        .timestampAuthorities;
    expect(authorities()).toHaveLength(1);
    const second = await memoryTsa({ now });
    authority.tsa = second.client;
    await forget();
    archive.faults.push({ key: /^trust\/trusted_root/, how: "not kept", times: 1 });
    await attested("1");
    expect(await failure(() => ledger().publish())).not.toBe("");
    await ledger().publish();
    expect(keys(/^trust\/tsa\//)).toHaveLength(2);
    expect(object(TSA_CERTIFICATES)).not.toEqual(object(first));
    expect(authorities()).toHaveLength(2);
    authority.tsa = tsa.client;
    await forget();
    await attested("2");
    await ledger().publish();
    expect(keys(/^trust\/tsa\//)).toHaveLength(2);
    expect(object(TSA_CERTIFICATES)).toEqual(object(first));
    const { findings: found } = await verifyArchive(archive, { now: now() });
    expect(found.filter(({ code }) => /^(key_|tsa_|timestamp_)/.test(code))).toEqual([]);
  });

  test("one that begins after there is a log without: the trusted root is replaced", async () => {
    authority.tsa = undefined;
    await sealed();
    const before = object(TRUSTED_ROOT);
    authority.tsa = tsa.client;
    await forget();
    await attested("1");
    await ledger().publish();
    expect(object(TRUSTED_ROOT)).not.toEqual(before);
    const found = await findings();
    expect(found.length).toBeGreaterThan(0);
    expect(found.every((each) => each.startsWith("timestamp_missing "))).toBe(true);
  });
});

describe("an authority that gives nothing stops nothing", () => {
  test.each<[string, TsaMood]>([
    ["down", "down"],
    ["hanging", "hangs"],
    ["its answer lost", "lost"],
    ["answering 500", { status: 500, body: new Uint8Array() }],
    ["answering nonsense", { status: 200, body: utf8("hello") }],
    ["answering another request", "another nonce"],
    ["signing badly", "a bad signature"],
    ["refusing", "refuses"],
  ])("%s: sessions are sealed without, and the lack is found; what comes after has one", async (_, mood) => {
    tsa.mood = mood;
    await sealed();
    expect(keys(/tsr$/)).toEqual([]);
    expect((await verifyArchive(archive, { now: now() })).findings).toEqual([]);
    const lacking = await findings();
    expect(lacking).toEqual([
      expect.stringMatching(/^timestamp_missing log\/checkpoints\//),
      expect.stringMatching(/^timestamp_missing log\/entry\//),
    ]);
    expect(await verifyArchive(archive, { now: now(), tsa: tsa.chain })).toMatchObject({
      integrity: "VALID",
      completeness: "DEGRADED",
    });
    tsa.mood = "well";
    clock.ahead += 61_000;
    await sealed();
    expect(await findings()).toEqual(lacking);
  });

  test("it is asked once, and then left alone for a minute", async () => {
    const silent = await memoryTsa({ now, restMs: 60_000 });
    authority.tsa = silent.client;
    silent.mood = "refuses";
    await attested("1");
    await ledger().publish();
    const { asked } = silent;
    await attested("2");
    await ledger().publish();
    expect(asked).toBe(1);
    expect(silent.asked).toBe(1);
  });
});

/** Every put of a round that comes after the authority was asked, and the row that remembers what it said. */
describe("a failure after the authority was asked", () => {
  for (const how of ["not kept", "kept"] as const)
    for (const step of [
      "log/checkpoint$",
      "log/checkpoints/\\d+-\\d+$",
      "log/checkpoints/.*tsr$",
      "log/entry/",
    ])
      for (const restart of [false, true])
        test(`of ${step}, ${how}, ${restart ? "then a restart" : "then another try"}: the same timestamps are put again`, async () => {
          await sealed();
          archive.faults.push({ key: new RegExp(`^${step}`), how, times: 1 });
          await attested("1");
          const before = tsa.asked;
          expect(await failure(() => ledger().publish())).not.toBe("");
          if (restart) await forget();
          await ledger().publish();
          expect(tsa.asked).toBe(before + 1);
          expect(await findings()).toEqual([]);
        });

  test("killed after it answered and before that was kept: it is asked again", async () => {
    await sealed();
    const abort = "BEGIN SELECT RAISE(ABORT, 'killed'); END";
    await rowsOf(stub(), `CREATE TRIGGER killed BEFORE INSERT ON stamp ${abort}`);
    await attested("1");
    expect(await failure(() => ledger().publish())).toContain("killed");
    await rowsOf(stub(), "DROP TRIGGER killed");
    await forget();
    await ledger().publish();
    expect(await findings()).toEqual([]);
  });

  test("a timestamp that the archive has and the tables forgot is the one that stays, also of a seal", async () => {
    archive.faults.push({ key: /^log\/entry\//, how: "kept", times: 1000 });
    const live = await openSession(`stamped ${sessions++}`);
    await live.exchange();
    archive.faults.length = 0;
    await live.session.end("request");
    await live.sealed();
    const objects = new Map(archive.objects);
    await attested("1");
    archive.faults.push({ key: /^log\/checkpoints\/.*tsr$/, how: "kept", times: 1 });
    expect(await failure(() => ledger().publish())).not.toBe("");
    await rowsOf(stub(), "DELETE FROM stamp");
    const before = tsa.asked;
    await ledger().publish();
    expect(tsa.asked).toBe(before);
    for (const [key, bytes] of objects) if (key.startsWith("log/entry/")) expect(object(key)).toEqual(bytes);
    expect(await findings()).toEqual([]);
  });
});

describe("a verifier", () => {
  const bent = (bytes: Uint8Array<ArrayBuffer>, at: number) => {
    const copy = bytes.slice();
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  };

  test("says which timestamp is forged: changed, another's, or of another checkpoint; and that the archive is invalid", async () => {
    await sealed();
    await sealed();
    const [first = "", second = ""] = keys(/tsr$/);
    const good = object(first);
    const token = readToken(good);
    if (typeof token === "string") throw new Error(token);
    const other = await memoryTsa({ now });
    const theirs = await other.client.stamp([object(first.replace(".tsr", ""))]);
    for (const bytes of [
      bent(good, good.byteLength - 1),
      object(second),
      theirs.stamps[0]?.reply ?? good,
      utf8("hello"),
    ]) {
      archive.objects.set(first, bytes);
      expect(await findings()).toEqual([`timestamp_forged ${first}`]);
      const { findings: found, integrity } = await verifyArchive(archive, { now: now() });
      expect([integrity, ...found.map(({ code }) => code)]).toEqual(["INVALID", "timestamp_forged"]);
    }
    archive.objects.set(first, good);
    archive.objects.set("log/checkpoints/999-1.tsr", good);
    expect(await findings()).toEqual(["object_unknown log/checkpoints/999-1.tsr"]);
  });

  test("says that a timestamp is missing, that one is of an earlier time, and that certificates are not those of their name", async () => {
    tsa = await memoryTsa({ now: () => now() - 3_600_000 });
    authority.tsa = tsa.client;
    await sealed();
    const stamped = keys(/tsr$/);
    expect(await findings()).toEqual(stamped.map((key) => `timestamp_early ${key}`));
    for (const key of stamped) archive.objects.delete(key);
    expect(await findings()).toEqual([expect.stringMatching(/^timestamp_missing log\/checkpoints/)]);
    const [chain = ""] = keys(/^trust\/tsa\//);
    archive.objects.set(chain, bent(object(chain), 100));
    expect(await findings()).toEqual(
      expect.arrayContaining([`tsa_malformed ${chain}`, `tsa_malformed ${TSA_CERTIFICATES}`]),
    );
  });
});
