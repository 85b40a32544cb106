import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { alice, openSession, request, rowsOf, verdict } from "./live-session.ts";
import { archive, clock, knowKey } from "./main.ts";

beforeAll(knowKey);
beforeEach(() => {
  clock.ahead = 0;
  archive.faults.length = 0;
});

const statuses = async (stub: DurableObjectStub): Promise<string[]> => {
  const heads = await rowsOf(stub, "SELECT bundle FROM head ORDER BY n");
  return heads.map(({ bundle }) => {
    const { dsseEnvelope } = JSON.parse(String(bundle)) as { dsseEnvelope: { payload: string } };
    return (JSON.parse(atob(dsseEnvelope.payload)) as { predicate: { status: string } }).predicate.status;
  });
};

test("a session that is made anew after a progress head goes on, and is opened by its first head only", async () => {
  const live = await openSession("heads progress");
  await live.exchange();
  clock.ahead = 601_000;
  await runDurableObjectAlarm(live.stub);
  await live.forget();
  await live.exchange();
  expect(await statuses(live.stub)).toEqual(["open", "progress"]);
  await live.session.end("request");
  await live.sealed();
  expect(await statuses(live.stub)).toEqual(["open", "progress", "closed"]);
  expect(await verdict(live.id)).toMatchObject({
    findings: [],
    integrity: "VALID",
    completeness: "COMPLETE",
  });
});

test.each(["frames-", "seal", "log/entry"])(
  "a session that is made anew while its %s object cannot be put is sealed by the terminal head it had",
  async (part) => {
    const live = await openSession(`heads ${part}`);
    await live.exchange();
    archive.faults.push({ key: new RegExp(part), how: "kept", times: 2 });
    await live.session.end("request");
    for (let times = 0; times < 3; times++) {
      await runDurableObjectAlarm(live.stub);
      await live.forget();
    }
    await live.sealed();
    expect(await statuses(live.stub)).toEqual(["open", "closed"]);
    expect(await verdict(live.id)).toMatchObject({ findings: [], integrity: "VALID" });
  },
);

test("exchanges that an earlier run left open are cut, and what seals the session says that it was", async () => {
  const live = await openSession("heads truncated");
  const done = await live.exchange();
  const cut = request();
  await live.session.begin(live.id, alice, cut);
  await live.session.respond(cut.x, { status: 200, headers: [] });
  await live.session.append(cut.x, "s2c", 0, new Uint8Array(100_000).fill(0xff));
  await live.sql("UPDATE fact SET value = json_set(value, '$.epoch', 'earlier') WHERE name = 'tally'");
  await live.forget();
  await live.sealed();
  const frames = live.frames();
  expect(frames.at(-1)).toMatchObject({ k: "session.truncated", exchanges: [cut.x] });
  expect(frames.some((frame) => frame["x"] === done && frame["k"] === "response")).toBe(true);
  const { integrity, findings } = await verdict(live.id);
  expect({ integrity, codes: findings.map(({ code }) => code) }).toEqual({
    integrity: "VALID",
    codes: ["session_truncated"],
  });
});

test("a session whose alarm did not come is sealed when it is woken, however long the runtime would wait", async () => {
  const live = await openSession("heads late");
  await live.exchange();
  await live.session.end("request");
  // The runtime tries an alarm that fails after longer and longer: from here it looks as if it were long overdue.
  const overdue = await runInDurableObject(live.stub, async (_, { storage }) => {
    await storage.setAlarm(Date.now() + 60_000);
    return storage.getAlarm();
  });
  await live.forget();
  clock.ahead = 0;
  expect((await live.session.view())?.status).toBe("closing");
  const waits = () => runInDurableObject(live.stub, (_, { storage }) => storage.getAlarm());
  expect(await waits()).toBe(overdue);
  await live.forget();
  clock.ahead = 64_000;
  await live.session.view();
  expect(await waits()).not.toBe(overdue);
  clock.ahead = 0;
  await live.sealed();
  expect((await verdict(live.id)).integrity).toBe("VALID");
});

test("heads of a session whose rows an earlier version wrote, without ranges, extend those that have them", async () => {
  const live = await openSession("heads ranges");
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 7; n++) await live.exchange(`answer ${round} ${n}`);
    clock.ahead += 601_000;
    await runDurableObjectAlarm(live.stub);
    if (round !== 1) continue;
    await live.sql("UPDATE head SET range = NULL");
    await live.sql("UPDATE segment SET range = NULL");
    await live.forget();
  }
  await live.exchange();
  await live.session.end("request");
  await live.sealed();
  expect(await statuses(live.stub)).toEqual(["open", "progress", "progress", "progress", "closed"]);
  const { findings, integrity } = await verdict(live.id);
  expect({ findings, integrity }).toEqual({ findings: [], integrity: "VALID" });
});

test("a session that dies while the archive takes its segment does not keep others from being sealed", async () => {
  const dying = await openSession("heads dying");
  await dying.exchange();
  archive.faults.push({ key: new RegExp(dying.id), how: "hangs", times: 1 });
  await dying.session.end("request");
  const alarm = runDurableObjectAlarm(dying.stub).catch(() => false);
  await expect.poll(() => archive.tried.some((key) => key.includes(dying.id))).toBe(true);
  await runInDurableObject(dying.stub, (_, state) => state.abort("killed")).catch(() => undefined);
  await alarm;
  clock.ahead = 11_000;
  for (const live of [await openSession("heads living"), dying]) {
    if (live !== dying) await live.exchange();
    await live.session.end("request");
    await live.sealed();
    expect((await verdict(live.id)).integrity).toBe("VALID");
  }
});
