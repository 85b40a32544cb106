// A log that ends and one that goes on: the new one seals the old one, whatever fails between, and never without it.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { parquetReadObjects } from "hyparquet";
import { beforeAll, beforeEach, expect, test, vi } from "vitest";
import { CHECKPOINT, entryKey, indexKey, shardFolder } from "#durable/format/layout.ts";
import { readUtf8 } from "#durable/proof/bytes.ts";
import { openSaid } from "#durable/proof/seal.ts";
import { type Verified, verifyArchive } from "#durable/proof/verify/archive.ts";
import { ledgerOf } from "#durable/stubs.ts";
import { ORIGIN } from "#test/support/log-signer.ts";
import { bindings, failure, openSession, refuseInserts, rowsOf } from "./live-session.ts";
import { archive, clock, knowKey, log } from "./main.ts";

const NEXT = "seal-2027.gw.example";
const FOLDER = shardFolder(NEXT);
const stubOf = (name: string) => bindings.LEDGER.getByName(name);
const next = () => ledgerOf(bindings.LEDGER, NEXT);
const old = () => ledgerOf(bindings.LEDGER);
const NAMES = ["ledger", NEXT, "seal-2028.gw.example", "other.example"];

/** The node is started again with another log in its configuration. */
async function rotate(origin = NEXT): Promise<void> {
  log.before = [...log.before, log.origin];
  log.origin = origin;
  await forget();
}
async function forget(): Promise<void> {
  // One that does not run has nothing to forget.
  for (const name of NAMES.slice(0, 3)) await evictDurableObject(stubOf(name)).catch(() => undefined);
}

beforeAll(knowKey);
beforeEach(async () => {
  archive.faults.length = 0;
  clock.ahead = 3_600_000;
  log.before = [ORIGIN, NEXT];
  log.origin = "seal-2028.gw.example";
  await forget();
  for (const name of NAMES.slice(0, 3))
    await runInDurableObject(stubOf(name), async (_, { storage }) => {
      await storage.deleteAlarm();
      storage.sql.exec(
        "DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM fact; DELETE FROM sealed; DELETE FROM listed",
      );
    });
  log.before = [];
  log.origin = ORIGIN;
  await forget();
  archive.objects.clear();
});

async function sealedSession(key: string) {
  const live = await openSession(key);
  await live.exchange();
  await live.session.end("request");
  await live.sealed();
  return live;
}
const verify = (): Promise<Verified> => verifyArchive(archive, { now: Date.now() });
const codes = async (): Promise<string[]> =>
  (await verify()).findings.map(({ code, object }) => `${code} ${object}`);
async function eventAt(key: string) {
  const { attested } = await openSaid(archive.objects.get(key) ?? new Uint8Array(), undefined);
  return attested?.predicate;
}
const sizeAt = (folder: string): number =>
  Number(readUtf8(archive.objects.get(`${folder}${CHECKPOINT}`) ?? new Uint8Array())?.split("\n")[1]);

test("the last entry of the old log names the new one, whose first seals it; sessions of both verify as one archive", async () => {
  await sealedSession("shards a");
  await rotate();
  await sealedSession("shards b");
  expect(await eventAt(entryKey(sizeAt("") - 1))).toMatchObject({
    event: "end",
    successor: { origin: NEXT },
  });
  expect(await eventAt(`${FOLDER}${entryKey(0)}`)).toMatchObject({
    event: "begin",
    predecessor: { origin: ORIGIN, size: sizeAt("") },
  });
  expect(await verify()).toMatchObject({ findings: [], sessions: 2, log: { origin: NEXT } });
});

test("a session that is open across the change is sealed in the new log, and its heads follow each other", async () => {
  const live = await openSession("shards across");
  await live.exchange();
  await rotate();
  await live.exchange();
  await live.session.end("request");
  await live.sealed();
  expect(await verify()).toMatchObject({ findings: [], sessions: 1 });
});

test("a third log goes on for the second, and all three are verified", async () => {
  for (const [i, origin] of [NEXT, "seal-2028.gw.example"].entries()) {
    await sealedSession(`shards three ${i}`);
    await rotate(origin);
  }
  await sealedSession("shards three 2");
  expect(await verify()).toMatchObject({
    findings: [],
    sessions: 3,
    log: { origin: "seal-2028.gw.example" },
  });
});

const STEPS = [
  "log/tile/0",
  "log/checkpoint$",
  "log/checkpoints/",
  "log/entry/",
  `${FOLDER}trust/`,
  `${FOLDER}log/tile/0`,
  `${FOLDER}log/checkpoint$`,
  `${FOLDER}log/entry/0`,
];
for (const how of ["not kept", "kept"] as const)
  test.each(STEPS)(`a put of %s that is ${how}, and then a restart: the change is whole`, async (step) => {
    const before = await sealedSession(`shards before ${how} ${step}`);
    await rotate();
    archive.faults.push({ key: new RegExp(`^${step}`), how, times: 1 });
    await failure(() => next().policy("a".repeat(64), before.id));
    await failure(() => next().publish());
    await forget();
    await next().policy("a".repeat(64), before.id);
    await next().publish();
    await sealedSession(`shards after ${how} ${step}`);
    expect(await codes()).toEqual([]);
  });

test.each(["ledger", NEXT])(
  "an entry that the SQL of %s did not keep is said at the next start",
  async (name) => {
    const { id } = await sealedSession("shards sql");
    await rotate();
    const healed = await refuseInserts(stubOf(name), "entry");
    expect(await failure(() => next().policy("a".repeat(64), id))).toContain("disk is full");
    await healed();
    await forget();
    await next().policy("a".repeat(64), id);
    await next().publish();
    expect(await codes()).toEqual([]);
  },
);

test("a log that has ended takes nothing more, ends for nobody else, and is not signed again", async () => {
  const { id } = await sealedSession("shards ended");
  await rotate();
  await next().policy("a".repeat(64), id);
  await next().publish();
  const facts = { kind: "read", session: id, by: `hmac:${"a".repeat(64)}`, what: "view" } as const;
  expect(await failure(() => old().attest("late", facts))).toContain(`has ended: ${NEXT} goes on`);
  const vkey = "x+00000000+AA==";
  const other = { origin: "other.example", log: vkey, logPq: vkey };
  expect(await failure(() => old().end(other))).toContain("with other bytes");
  const { size } = { size: sizeAt("") };
  clock.ahead += 7_200_000;
  await runDurableObjectAlarm(stubOf("ledger"));
  expect([
    sizeAt(""),
    [...archive.objects.keys()].filter((key) => key.startsWith(`log/checkpoints/${size}-`)).length,
  ]).toEqual([size, 1]);
  expect(await codes()).toEqual([]);
});

test("sessions of the last day of the old log are listed once it is over, and the newest log vouches for it", async () => {
  const day = new Date(Date.now() + clock.ahead).toISOString().slice(0, 10);
  const { id: before } = await sealedSession("shards listed a");
  await rotate();
  const { id: after } = await sealedSession("shards listed b");
  clock.ahead += 86_400_000;
  const ring = async (name: string): Promise<void> => {
    await runInDurableObject(stubOf(name), (_, { storage }) => storage.setAlarm(Date.now() + 60_000));
    await runDurableObjectAlarm(stubOf(name));
  };
  const rowsIn = async (part: number): Promise<unknown[]> => {
    const bytes = archive.objects.get(indexKey(day, part));
    return bytes ? (await parquetReadObjects({ file: bytes.buffer })).map(({ session }) => session) : [];
  };
  await vi.waitFor(
    async () => {
      for (const name of ["ledger", NEXT]) await ring(name);
      expect([...(await rowsIn(0)), ...(await rowsIn(1))].toSorted()).toEqual([before, after].toSorted());
      expect(await rowsOf(stubOf("ledger"), "SELECT count(*) AS n FROM sealed")).toEqual([{ n: 0 }]);
    },
    { timeout: 60_000, interval: 200 },
  );
  await next().publish();
  expect(await rowsOf(stubOf(NEXT), "SELECT key FROM entry WHERE key LIKE 'index %' ORDER BY key")).toEqual([
    { key: `index ${day} 0` },
    { key: `index ${day} 1` },
  ]);
  expect(await codes()).toEqual([]);
});

test("while the old log cannot be closed in the archive, no session opens in the new one", async () => {
  await sealedSession("shards closed");
  await rotate();
  archive.faults.push({ key: /^log\//, how: "not kept", times: 1_000 });
  expect(await failure(() => openSession("shards waits").then((live) => live.exchange()))).not.toBe("");
  archive.faults.length = 0;
  await forget();
  await sealedSession("shards goes on");
  expect(await codes()).toEqual([]);
});

test("a change that was not announced is refused", async () => {
  await sealedSession("shards unannounced");
  log.origin = "other.example";
  await forget();
  expect(
    await failure(() =>
      old()
        .publish()
        .then(() => openSession("x").then((live) => live.exchange())),
    ),
  ).toContain("under another origin");
});

test("what is missing or cut is found: the new log, its first entry, the old log's end, a step back of the old log", async () => {
  await sealedSession("shards cut a");
  await rotate();
  await sealedSession("shards cut b");
  const whole = new Map(archive.objects);
  const end = sizeAt("") - 1;
  const cases: readonly (readonly [(key: string) => boolean, RegExp])[] = [
    [(key) => key.startsWith(FOLDER), /^shard_missing shards\/seal-2027/m],
    [(key) => key === `${FOLDER}${entryKey(0)}`, /^shard_unlinked shards\/seal-2027/m],
    [(key) => key === entryKey(end), /^shard_unlinked log\/checkpoint/m],
  ];
  for (const [gone, found] of cases) {
    archive.objects.clear();
    for (const [key, bytes] of whole) if (!gone(key)) archive.objects.set(key, bytes);
    expect((await codes()).join("\n")).toMatch(found);
  }
  archive.objects.clear();
  for (const [key, bytes] of whole) archive.objects.set(key, bytes);
  const earlier = [...whole.keys()].find((key) => key.startsWith(`log/checkpoints/${end}-`)) ?? "";
  archive.objects.set(CHECKPOINT, whole.get(earlier) ?? new Uint8Array());
  const last = [...whole.keys()].filter((key) => key.startsWith(`log/checkpoints/${end + 1}-`));
  for (const key of [...last, entryKey(end)]) archive.objects.delete(key);
  expect((await codes()).join("\n")).toMatch(/^shard_unlinked /m);
  expect(await rowsOf(stubOf("ledger"), "SELECT count(*) AS n FROM entry")).toEqual([{ n: end + 1 }]);
});
