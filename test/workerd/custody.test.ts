// Erasures and legal holds: every step failed, failed but done, and taken again by an object that was made anew.
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { SEAL_PUB } from "#durable/format/layout.ts";
import { unsealWith } from "#durable/proof/age/unseal.ts";
import { utf8 } from "#durable/proof/bytes.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { directoryOf } from "#durable/stubs.ts";
import { acknowledged, bindings, type LiveSession, openSession } from "./live-session.ts";
import { archive, encryption, keys, knowKey, sealPub } from "./main.ts";

const BY = `hmac:${"b".repeat(64)}`;
const DSR = { by: BY, reason: "DSR-2026-017" };
const CASE = { by: BY, reason: "case/88" };
let auditor: string;
beforeAll(async () => {
  await knowKey();
  auditor = await generateX25519Identity();
});
beforeEach(async () => {
  encryption.to = [await identityToRecipient(auditor)];
});
afterEach(() => {
  encryption.to = [];
  keys.faults.length = 0;
  archive.faults.length = 0;
});

const stub = () => bindings.DIRECTORY.getByName("directory");
const directory = () => directoryOf(bindings.DIRECTORY);

async function sealed(): Promise<LiveSession> {
  const live = await openSession(crypto.randomUUID());
  await live.exchange("what somebody wants forgotten");
  acknowledged(await live.session.end("request"));
  await live.sealed();
  return live;
}

async function found({ id }: LiveSession) {
  archive.objects.set(SEAL_PUB, utf8(await sealPub()));
  const unseal = unsealWith({ get: async () => keys.stored.get(id) }, [auditor]);
  const { findings, integrity } = await verifyArchive(archive, { now: Date.now(), unseal }, id);
  return { integrity, codes: findings.map(({ code }) => code), said: findings.map(({ message }) => message) };
}

test("an erased session has no key, is sound for ever, and the log says by whose case", async () => {
  const live = await sealed();
  const answer = await directory().erase(live.id, DSR);
  expect(answer).toMatchObject({ ok: { erasure: { state: "done", reason: "DSR-2026-017" } } });
  expect(keys.stored.has(live.id)).toBe(false);
  const { codes, said, integrity } = await found(live);
  expect({ codes, integrity }).toEqual({ codes: ["session_erased"], integrity: "VALID" });
  expect(said.join()).toMatch(/erased on \S+Z, by log entry \d+ \(DSR-2026-017\)/);
  expect(await directory().erase(live.id, { ...DSR, reason: "again" })).toEqual(answer);
  expect((await directory().find(live.id))?.view.erasure?.state).toBe("done");
});

/** What fails at each step of an erasure, and whether the key may be gone by then. */
const STEPS = [
  [
    "the log cannot be published before",
    () => archive.faults.push({ key: /^log\//, how: "not kept", times: 3 }),
    true,
  ],
  [
    "the log is published and nobody hears of it",
    () => archive.faults.push({ key: /^log\//, how: "kept", times: 3 }),
    true,
  ],
  ["the key cannot be deleted", () => keys.faults.push({ verb: "remove", how: "not done", times: 1 }), true],
  [
    "the key is deleted and nobody hears of it",
    () => keys.faults.push({ verb: "remove", how: "done", times: 1 }),
    false,
  ],
] as const;

test.each(STEPS)("an erasure goes on by itself where %s", async (_what, fail, kept) => {
  const live = await sealed();
  fail();
  expect(await directory().erase(live.id, DSR)).toMatchObject({ ok: { erasure: { state: "begun" } } });
  expect(keys.stored.has(live.id)).toBe(kept);
  await evictDurableObject(stub());
  for (let round = 0; round < 6; round++) {
    if ((await directory().find(live.id))?.view.erasure?.state === "done") break;
    await runDurableObjectAlarm(stub());
    await runDurableObjectAlarm(bindings.LEDGER.getByName("ledger"));
  }
  expect((await directory().find(live.id))?.view.erasure?.state).toBe("done");
  expect(keys.stored.has(live.id)).toBe(false);
  expect((await found(live)).codes).toEqual(["session_erased"]);
});

test("an erasure that is begun and not done is said as such", async () => {
  const live = await sealed();
  keys.faults.push({ verb: "remove", how: "not done", times: 1 });
  await directory().erase(live.id, DSR);
  expect((await found(live)).codes).toEqual(["erasure_open"]);
});

test("a key that is put back after its erasure is a finding", async () => {
  const live = await sealed();
  const copy = keys.stored.get(live.id);
  await directory().erase(live.id, DSR);
  if (copy) keys.stored.set(live.id, copy);
  expect((await found(live)).codes).toContain("session_key_kept");
});

test("a legal hold forbids erasing until it is lifted, also for an object that was made anew", async () => {
  const live = await sealed();
  expect(await directory().legalHold(live.id, "set", CASE)).toMatchObject({
    ok: { legalHold: { reason: "case/88" } },
  });
  await evictDurableObject(stub());
  expect(await directory().erase(live.id, DSR)).toMatchObject({ no: { code: "not_erasable" } });
  expect(keys.stored.has(live.id)).toBe(true);
  const lifted = await directory().legalHold(live.id, "lifted", CASE);
  expect("ok" in lifted && lifted.ok.legalHold).toBeUndefined();
  expect(await directory().erase(live.id, DSR)).toMatchObject({ ok: { erasure: { state: "done" } } });
  expect(await directory().legalHold(live.id, "set", CASE)).toMatchObject({ no: { code: "not_erasable" } });
});

test("a legal hold holds although neither log nor archive can be told yet", async () => {
  const live = await sealed();
  archive.faults.push({ key: /^log\//, how: "not kept", times: 2 });
  await directory().legalHold(live.id, "set", CASE);
  expect(await directory().erase(live.id, DSR)).toMatchObject({ no: { code: "not_erasable" } });
});

test("what is open, unknown or not encrypted is not erased, and says why", async () => {
  const live = await openSession(crypto.randomUUID());
  await live.exchange();
  expect(await directory().erase(live.id, DSR)).toMatchObject({
    no: { code: "not_erasable", message: expect.stringContaining("not sealed yet") },
  });
  expect(await directory().erase("ses_01KAZ00000000000000000000A" as never, DSR)).toMatchObject({
    no: { code: "unknown_path" },
  });
  encryption.to = [];
  const plain = await sealed();
  expect(await directory().erase(plain.id, DSR)).toMatchObject({
    no: { code: "not_erasable", message: expect.stringContaining("is not encrypted") },
  });
});
