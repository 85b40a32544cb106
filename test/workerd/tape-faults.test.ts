import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ExchangeId } from "#durable/format/ids.ts";
import {
  acknowledged,
  alice,
  failure,
  journal,
  type LiveSession,
  openSession,
  refuseInserts,
  request,
  verdict,
} from "./live-session.ts";
import { archive, clock, knowKey } from "./main.ts";

beforeAll(knowKey);
beforeEach(() => {
  clock.ahead = 0;
  archive.faults.length = 0;
});

/** Neither the journal nor the session's rows take anything. */
async function fullDisk(live: LiveSession): Promise<() => Promise<void>> {
  const repairs = [await refuseInserts(live.stub, "tape"), await refuseInserts(journal(), "batch")];
  return async () => {
    for (const repair of repairs) await repair();
  };
}

const REFUSED = /could not write|disk is full/;
const answered = { status: 200, headers: [], end: "complete" } as const;
const of = (live: LiveSession, k: string) => live.frames().filter((frame) => frame["k"] === k);

async function sealedWithGap(live: LiveSession): Promise<void> {
  await live.session.end("request");
  await live.sealed();
  const { integrity, completeness, findings } = await verdict(live.id);
  expect({ integrity, completeness, codes: findings.map(({ code }) => code) }).toEqual({
    integrity: "VALID",
    completeness: "DEGRADED",
    codes: ["session_gap"],
  });
}

describe("a recorder that cannot write", () => {
  test("acknowledges nothing, keeps nothing of it, and says in a gap frame what was under way", async () => {
    const live = await openSession("full");
    const before = await live.exchange();
    const open = request();
    acknowledged(await live.session.begin(live.id, alice, open));
    const frames = (await live.session.view())?.frames;
    const repair = await fullDisk(live);
    const refused = request();
    expect(await failure(() => live.session.begin(live.id, alice, refused))).toMatch(REFUSED);
    expect(await failure(() => live.session.respond(open.x, answered))).toMatch(REFUSED);
    expect((await live.session.view())?.frames).toBe(frames);
    await repair();
    const after = await live.exchange();
    acknowledged(await live.session.respond(open.x, answered));
    await sealedWithGap(live);
    expect(of(live, "request").map(({ x }) => x)).toEqual([before, open.x, after]);
    const [gap, ...more] = of(live, "gap");
    expect(more).toEqual([]);
    expect(gap?.["cause"]).toBe("the recorder could not write");
    expect(gap?.["exchanges"]).toEqual(expect.arrayContaining([open.x, refused.x]));
  });

  test("a session that ends before anything else is recorded in it says first what was lost", async () => {
    const live = await openSession("full to the end");
    await live.exchange();
    const repair = await fullDisk(live);
    const refused = request();
    expect(await failure(() => live.session.begin(live.id, alice, refused))).toMatch(REFUSED);
    await repair();
    await sealedWithGap(live);
    expect(of(live, "gap").map(({ exchanges }) => exchanges)).toEqual([[refused.x]]);
    expect(live.frames().at(-1)).toMatchObject({ k: "session.end" });
  });

  test("names in one gap the exchanges of every attempt that failed", async () => {
    const live = await openSession("full often");
    await live.exchange();
    const repair = await fullDisk(live);
    const refused: ExchangeId[] = [];
    for (let i = 0; i < 5; i++) {
      const tape = request();
      refused.push(tape.x);
      expect(await failure(() => live.session.begin(live.id, alice, tape))).toMatch(REFUSED);
    }
    await repair();
    await live.exchange();
    await sealedWithGap(live);
    expect(of(live, "gap").map(({ exchanges }) => exchanges)).toEqual([refused]);
  });

  test("body bytes that were not kept may be sent again at their offset", async () => {
    const live = await openSession("full body");
    const tape = request();
    acknowledged(await live.session.begin(live.id, alice, tape));
    acknowledged(await live.session.respond(tape.x, { status: 200, headers: [] }));
    const bytes = new Uint8Array(100_000).fill(0xff);
    const repair = await fullDisk(live);
    expect(await failure(() => live.session.append(tape.x, "s2c", 0, bytes))).toMatch(REFUSED);
    await repair();
    acknowledged(await live.session.append(tape.x, "s2c", 0, bytes));
    acknowledged(await live.session.append(tape.x, "s2c", 100_000, undefined, "complete"));
    await sealedWithGap(live);
  });

  test("cannot end a session, and ends it when it can", async () => {
    const live = await openSession("full end");
    await live.exchange();
    const repair = await fullDisk(live);
    expect(await failure(() => live.session.end("killed", "https://idp.example dave"))).toMatch(REFUSED);
    expect((await live.session.view())?.status).toBe("open");
    await repair();
    acknowledged(await live.session.end("killed", "https://idp.example dave"));
    await live.sealed();
    expect(live.frames().at(-1)).toMatchObject({ k: "session.end", reason: "killed" });
    expect((await verdict(live.id)).integrity).toBe("VALID");
  });
});

test.each(["begin", "respond"] as const)(
  "a %s that is on its way through the journal is not acknowledged once the session gave it up",
  async (what) => {
    for (let times = 0; times < 5; times++) {
      const live = await openSession(`given up ${what} ${times}`);
      await live.exchange();
      const tape = request();
      if (what === "respond") acknowledged(await live.session.begin(live.id, alice, tape));
      const repair = await refuseInserts(live.stub, "tape");
      const small =
        what === "begin" ? live.session.begin(live.id, alice, tape) : live.session.respond(tape.x, answered);
      const [first, second] = await Promise.allSettled([small, live.session.end("request")]);
      expect(second.status).toBe("rejected");
      await repair();
      await live.forget();
      await live.session.end("request");
      await live.sealed();
      const kept = of(live, what === "begin" ? "request" : "response").some(({ x }) => x === tape.x);
      if (first.status === "fulfilled" && "ok" in first.value) expect(kept).toBe(true);
      expect((await verdict(live.id)).integrity).toBe("VALID");
    }
  },
);

test("of many exchanges at once none is acknowledged while nothing can be written, and all are once it can", async () => {
  const live = await openSession("many");
  await live.exchange();
  const repair = await fullDisk(live);
  const begin = () => failure(async () => acknowledged(await live.session.begin(live.id, alice, request())));
  const refused = await Promise.all(Array.from({ length: 20 }, begin));
  await repair();
  for (const told of refused) expect(told).toMatch(REFUSED);
  expect(await Promise.all(Array.from({ length: 20 }, begin))).toEqual(Array(20).fill(""));
  await live.session.end("request");
  await live.sealed();
  expect(of(live, "request")).toHaveLength(21);
  expect((await verdict(live.id)).integrity).toBe("VALID");
});

test("bytes that are sent twice at once are acknowledged only when they are durable", async () => {
  const live = await openSession("twice at once");
  const tape = request();
  acknowledged(await live.session.begin(live.id, alice, tape));
  acknowledged(await live.session.respond(tape.x, { status: 200, headers: [] }));
  const repair = await fullDisk(live);
  const bytes = new Uint8Array(10).fill(65);
  const send = () => failure(() => live.session.append(tape.x, "s2c", 0, bytes));
  for (const told of await Promise.all([send(), send()])) expect(told).toMatch(REFUSED);
  await repair();
  acknowledged(await live.session.append(tape.x, "s2c", 0, bytes, "complete"));
  await sealedWithGap(live);
});
