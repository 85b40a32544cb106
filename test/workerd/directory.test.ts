import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { directoryOf } from "#durable/stubs.ts";
import { alice, bindings, openSession, rowsOf } from "./live-session.ts";
import { archive, clock, knowKey } from "./main.ts";

beforeAll(knowKey);
beforeEach(() => {
  clock.ahead = 0;
  archive.faults.length = 0;
});

const directory = () => bindings.DIRECTORY.getByName("directory");
const alarmOf = (stub: DurableObjectStub) => runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
const loseAlarm = (stub: DurableObjectStub) =>
  runInDurableObject(stub, (_, { storage }) => storage.deleteAlarm());

test("old news of a session does not open it again in the directory", async () => {
  const live = await openSession("old news");
  await live.exchange();
  const before = await live.session.view();
  if (!before) throw new Error("it is not open");
  await live.session.end("request");
  await live.sealed();
  await directoryOf(bindings.DIRECTORY).tell(before);
  const found = await directoryOf(bindings.DIRECTORY).find(live.id);
  expect(found?.view.status).toBe("sealed");
  const next = await directoryOf(bindings.DIRECTORY).resolve("old news", alice);
  expect("session" in next && next.session).not.toBe(live.id);
});

test("a session goes on sealing although the directory cannot be told", async () => {
  const live = await openSession("deaf");
  await live.exchange();
  await live.session.end("request");
  await rowsOf(
    directory(),
    "CREATE TRIGGER deaf BEFORE UPDATE ON session BEGIN SELECT RAISE(ABORT, 'full'); END",
  );
  await live.forget();
  await runDurableObjectAlarm(live.stub);
  expect(await alarmOf(live.stub)).not.toBe(null);
  await rowsOf(directory(), "DROP TRIGGER deaf");
  await live.sealed();
});

test("a session whose alarm was lost is woken and sealed without anybody asking for it", async () => {
  const live = await openSession("asleep");
  await live.exchange();
  await live.session.end("request");
  await loseAlarm(live.stub);
  await live.forget();
  clock.ahead = 10 * 60_000;
  await runDurableObjectAlarm(directory());
  expect(await alarmOf(live.stub)).not.toBe(null);
  await live.sealed();
});

test("a directory whose alarm was lost looks after its sessions again at the next news", async () => {
  const live = await openSession("no round");
  await loseAlarm(directory());
  await live.exchange();
  expect(await alarmOf(directory())).not.toBe(null);
});

test("an id that was given a moment ago is not taken back", async () => {
  const found = await directoryOf(bindings.DIRECTORY).resolve("just given", alice);
  if (!("session" in found)) throw new Error(JSON.stringify(found));
  await evictDurableObject(directory());
  clock.ahead = 30_000;
  await runDurableObjectAlarm(directory());
  expect(await directoryOf(bindings.DIRECTORY).find(found.session)).toMatchObject({
    view: { status: "open" },
  });
});

test("one's own sessions are listed however many others have opened since", async () => {
  const mine = await openSession("mine");
  const other = (i: number) => ({ ...alice, principal: { ...alice.principal, subject: `bob ${i % 10}` } });
  const agent = { ...alice, principal: { ...alice.principal, agent: "bot" } };
  for (let i = 0; i < 1_001; i++) await directoryOf(bindings.DIRECTORY).resolve(`bob ${i}`, other(i));
  await directoryOf(bindings.DIRECTORY).resolve("bot", agent);
  const ids = (await directoryOf(bindings.DIRECTORY).list(alice.principal)).map(({ session }) => session);
  expect(ids[0]).toBe(mine.id);
  expect(await directoryOf(bindings.DIRECTORY).list(agent.principal)).toHaveLength(1);
  expect(await directoryOf(bindings.DIRECTORY).list()).toHaveLength(1_000);
});
