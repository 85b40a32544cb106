// The ledger of test/workerd with two witnesses that a test may have fail, and an archive that begins empty.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { beforeAll, beforeEach, expect } from "vitest";
import { mintSessionId } from "#durable/format/ids.ts";
import { CHECKPOINT } from "#durable/format/layout.ts";
import { readUtf8, toBase64 } from "#durable/proof/bytes.ts";
import { type OpenedCheckpoint, openCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { makeSignedHead } from "#durable/proof/seal.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { ledgerOf } from "#durable/stubs.ts";
import { logSigner, ORIGIN } from "#test/support/log-signer.ts";
import { type MemoryWitness, memoryWitness } from "#test/support/memory-witness.ts";
import { bindings } from "./live-session.ts";
import { archive, clock, knowKey, log, witnesses } from "./main.ts";

export const stub = () => bindings.LEDGER.getByName("ledger");
export const ledger = () => ledgerOf(bindings.LEDGER);
export const forget = () => evictDurableObject(stub());
export const now = () => Date.now() + clock.ahead;
const HOUR = 3_600_000;

export let one: MemoryWitness;
export let two: MemoryWitness;

export function withWitnesses(): void {
  beforeAll(knowKey);
  beforeEach(async () => {
    archive.faults.length = 0;
    clock.ahead = HOUR;
    log.origin = ORIGIN;
    const { keys } = await logSigner();
    one = await memoryWitness("w1.example", [keys.ed25519], now);
    two = await memoryWitness("w2.example", [keys.mlDsa], now);
    witnesses.all = [one.client, two.client];
    witnesses.threshold = 2;
    await runInDurableObject(stub(), async (_, { storage }) => {
      await storage.deleteAlarm();
      storage.sql.exec("DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact");
    });
    await forget();
    archive.objects.clear();
    archive.tried.length = 0;
  });
}

let heads = 0;
export async function append(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const session = mintSessionId(Date.now(), crypto.getRandomValues(new Uint8Array(10)));
    const payload = toBase64(new TextEncoder().encode(`head ${heads++}`));
    const signatures = [{ sig: "MAYCAQECAQE=" }] as [{ sig: string }];
    const envelope = { payload, payloadType: "application/vnd.in-toto+json", signatures } as const;
    await ledger().append(session, 0, JSON.stringify(makeSignedHead(envelope, new Uint8Array(91))));
  }
}

export async function published(count: number): Promise<void> {
  await append(count);
  await ledger().publish();
}

export const stored = (key: string): string => readUtf8(archive.objects.get(key) ?? new Uint8Array()) ?? "";
export const keys = (prefix: string): string[] =>
  [...archive.objects.keys()].filter((key) => key.startsWith(prefix));

async function open(text: string): Promise<OpenedCheckpoint> {
  const opened = await openCheckpoint(text, (await logSigner()).keys, [one.key, two.key]);
  if (typeof opened === "string" || opened.wrong) throw new Error(JSON.stringify(opened));
  return opened;
}

export async function newest(): Promise<{ size: number; by: string[] }> {
  const { checkpoint, cosigned, others, forged } = await open(stored(CHECKPOINT));
  expect([...others, ...forged]).toEqual([]);
  return { size: checkpoint.size, by: cosigned.map(({ name }) => name) };
}

/** What an auditor finds of the log, but for its heads, which are none here. */
export async function findings(): Promise<string[]> {
  const verified = await verifyArchive(archive, { now: Date.now() });
  return verified.findings
    .map(({ code, object }) => `${code} ${object}`)
    .filter((found) => !/^(head_|key_other|object_unknown sessions)/.test(found));
}
