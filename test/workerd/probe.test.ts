// The ledger probes its store: at the first chance, once a day, and without anything waiting for it.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { entryKey } from "#durable/format/layout.ts";
import { openSaid } from "#durable/proof/seal.ts";
import { graded, held } from "#durable/store/probe/probe.ts";
import { ledgerOf } from "#durable/stubs.ts";
import { bindings, openSession, refuseInserts, rowsOf } from "./live-session.ts";
import { archive, clock, knowKey, store } from "./main.ts";

const stub = () => bindings.LEDGER.getByName("ledger");
const ledger = () => ledgerOf(bindings.LEDGER);
const ring = () => runDurableObjectAlarm(stub());
const probed = graded("s3", [held("create", "taken")]);

beforeAll(knowKey);
beforeEach(async () => {
  archive.faults.length = 0;
  clock.ahead = 3_600_000;
  await runInDurableObject(stub(), async (_, { storage }) => {
    await storage.deleteAlarm();
    storage.sql.exec("DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact");
  });
  await evictDurableObject(stub());
  archive.objects.clear();
});
afterEach(() => {
  delete store.prober;
});

const begun = async () => {
  await ledger().attest("first", { kind: "index", date: "2026-11-22", objects: [] });
};
const soon = (holds: () => void | Promise<void>) => vi.waitFor(holds, { timeout: 60_000 });
const keysOfProbes = async (): Promise<string[]> =>
  (await rowsOf(stub(), "SELECT key FROM entry WHERE key LIKE 'storage-probe %' ORDER BY idx")).map(
    ({ key }) => String(key),
  );

test("what a probe found is in the log, once a run and again after a day", async () => {
  const ids: string[] = [];
  store.prober = {
    probe: async (id) => {
      ids.push(id);
      return probed;
    },
  };
  await begun();
  await ring();
  await soon(async () => expect(await keysOfProbes()).toEqual(["storage-probe 1"]));
  await ring();
  await evictDurableObject(stub());
  await begun();
  await ring();
  expect(await keysOfProbes()).toEqual(["storage-probe 1"]);
  clock.ahead += 86_400_000;
  await ring();
  await soon(async () => expect(await keysOfProbes()).toEqual(["storage-probe 1", "storage-probe 2"]));
  expect(new Set(ids).size).toBe(2);
  await ledger().publish();
  const { attested } = await openSaid(archive.objects.get(entryKey(1)) ?? new Uint8Array(), undefined);
  expect(attested).toMatchObject({ kind: "storage-probe", predicate: { grade: "limited", archive: "s3" } });
});

test("a store that does not answer the probe delays no head, no seal and no other alarm", async () => {
  let asked = 0;
  let answer = (_: typeof probed) => {};
  const never = new Promise<typeof probed>((resolve) => {
    answer = resolve;
  });
  store.prober = {
    probe: () => {
      asked += 1;
      return never;
    },
  };
  const live = await openSession("probe hangs");
  await live.exchange();
  await ring();
  await live.session.end("request");
  await live.sealed();
  await ring();
  expect(asked).toBe(1);
  expect(archive.objects.has(entryKey(1))).toBe(true);
  answer(probed);
  await soon(async () => expect(await keysOfProbes()).toEqual(["storage-probe 1"]));
});

test("a probe that failed is tried again when the alarm next rings, and one that SQL did not keep too", async () => {
  let asked = 0;
  store.prober = {
    probe: async () => {
      asked += 1;
      if (asked === 1) throw new Error("the store is down");
      return probed;
    },
  };
  await begun();
  await ring();
  await soon(() => expect(asked).toBe(1));
  const healed = await refuseInserts(stub(), "fact");
  await ledger().attest("second", { kind: "index", date: "2026-11-23", objects: [] });
  await ring();
  await soon(() => expect(asked).toBe(2));
  expect(await keysOfProbes()).toEqual([]);
  await healed();
  await evictDurableObject(stub());
  await ledger().attest("third", { kind: "index", date: "2026-11-24", objects: [] });
  await ring();
  await soon(async () => expect(await keysOfProbes()).toEqual(["storage-probe 1"]));
  expect(asked).toBe(3);
});
