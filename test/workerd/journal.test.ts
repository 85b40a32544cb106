import { runInDurableObject } from "cloudflare:test";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Session } from "#durable/stubs.ts";
import {
  alice,
  failure,
  journal,
  journalled,
  type LiveSession,
  openSession,
  refuseInserts,
  request,
  rowsOf,
  verdict,
} from "./live-session.ts";
import { archive, clock, crowd, knowKey } from "./main.ts";

beforeAll(knowKey);
beforeEach(() => {
  clock.ahead = 0;
  archive.faults.length = 0;
  crowd.together = true;
});

const SOUND = { findings: [], integrity: "VALID", completeness: "COMPLETE" };
const requestsOf = (live: LiveSession) =>
  live.frames().flatMap((frame) => (frame["k"] === "request" ? [String(frame["x"])] : []));
const tapeRows = (live: LiveSession) => live.sql("SELECT first, frames FROM tape ORDER BY first");
const sealedAs = async (live: LiveSession, exchanges: readonly string[], verified: object = SOUND) => {
  await live.session.end("request");
  await live.sealed();
  expect(live.frames().map((frame) => frame["seq"])).toEqual(live.frames().map((_, i) => i));
  expect(requestsOf(live)).toEqual(exchanges);
  expect(await verdict(live.id)).toMatchObject(verified);
};

describe("taking over", () => {
  test("small exchanges are in the journal only, and in the session's rows after it was made anew", async () => {
    const live = await openSession("take over");
    const exchanges = [await live.exchange(), await live.exchange(), await live.exchange()];
    const waiting = await journalled(live.id);
    expect(waiting).toHaveLength(6);
    expect((await tapeRows(live)).every(({ first }) => !waiting.includes(Number(first)))).toBe(true);
    await live.forget();
    expect((await live.session.view())?.exchanges).toBe(3);
    expect((await tapeRows(live)).map(({ first }) => first)).toEqual(expect.arrayContaining(waiting));
    await expect.poll(() => journalled(live.id)).toEqual([]);
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
  });

  test("a crash between taking over and forgetting doubles nothing", async () => {
    const live = await openSession("not forgotten");
    const exchanges = [await live.exchange(), await live.exchange()];
    const kept = await rowsOf(journal(), "SELECT * FROM batch WHERE session = ? ORDER BY first", live.id);
    await live.forget();
    await live.session.view();
    await expect.poll(() => journalled(live.id)).toEqual([]);
    for (const row of kept)
      await rowsOf(
        journal(),
        `INSERT INTO batch VALUES (${Object.keys(row)
          .map(() => "?")
          .join()})`,
        ...Object.values(row),
      );
    await live.forget();
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
    expect(await journalled(live.id)).toEqual([]);
  });

  test("is forgotten in the journal only when the session's rows are durable: a commit that fails loses nothing", async () => {
    const live = await openSession("commit fails");
    const exchanges = [await live.exchange(), await live.exchange()];
    const waiting = await journalled(live.id);
    await live.sql("CREATE TABLE parent(id INTEGER PRIMARY KEY)");
    await live.sql("CREATE TABLE child(id INTEGER REFERENCES parent(id))");
    const told = await failure(() =>
      runInDurableObject(live.stub, async (instance, { storage }) => {
        // Checked by the commit, not by the statement: the transaction looks well until it is too late.
        storage.sql.exec("PRAGMA defer_foreign_keys = ON");
        storage.sql.exec("INSERT INTO child VALUES (1)");
        await (instance as unknown as Session).end("request");
      }),
    );
    expect(told).toMatch(/FOREIGN KEY|constraint/i);
    expect(await journalled(live.id)).toEqual(waiting);
    expect(await live.session.view()).toMatchObject({ status: "open", exchanges: 2 });
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
  });

  test("batches that do not follow what the session has are left alone", async () => {
    const live = await openSession("stale");
    const exchanges = [await live.exchange()];
    const copies = await rowsOf(journal(), "SELECT * FROM batch WHERE session = ? ORDER BY first", live.id);
    await live.forget();
    exchanges.push(await live.exchange());
    await live.forget();
    const frames = (await live.session.view())?.frames ?? 0;
    const [row] = copies;
    if (!row) throw new Error("nothing was journalled");
    for (const first of [Number(row["first"]), frames - 1, frames + 1]) {
      const stale = { ...row, first };
      const holes = Object.keys(stale)
        .map(() => "?")
        .join();
      await rowsOf(journal(), `INSERT OR REPLACE INTO batch VALUES (${holes})`, ...Object.values(stale));
    }
    await live.forget();
    expect((await live.session.view())?.frames).toBe(frames);
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
  });

  test("nothing of a sealed session stays in the journal", async () => {
    const live = await openSession("left");
    await sealedAs(live, [await live.exchange()]);
    expect(await journalled(live.id)).toEqual([]);
  });
});

describe("a session that writes alone", () => {
  test("writes to its own rows, and has lost nothing when it is made anew", async () => {
    crowd.together = false;
    const live = await openSession("alone");
    const exchanges = [await live.exchange(), await live.exchange()];
    expect(await journalled(live.id)).toEqual([]);
    const frames = (await live.session.view())?.frames ?? 0;
    await live.forget();
    expect((await live.session.view())?.frames).toBe(frames);
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
  });

  test("takes over what it shared before, and shares again when others write: in order, and once", async () => {
    const live = await openSession("alone by turns");
    const exchanges: string[] = [];
    for (const together of [true, false, true, true, false, true]) {
      crowd.together = together;
      exchanges.push(await live.exchange());
      expect((await journalled(live.id)).length > 0).toBe(together);
    }
    await live.forget();
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
  });

  test("whose rows cannot be written is not acknowledged, says so later, and goes on", async () => {
    crowd.together = false;
    const live = await openSession("alone and full");
    const exchanges = [await live.exchange()];
    const repair = await refuseInserts(live.stub, "tape");
    expect(await failure(() => live.session.begin(live.id, alice, request()))).not.toBe("");
    await repair();
    exchanges.push(await live.exchange());
    expect(await journalled(live.id)).toEqual([]);
    await live.session.end("request");
    await live.sealed();
    expect(requestsOf(live)).toEqual(exchanges);
    expect(await verdict(live.id)).toMatchObject({ integrity: "VALID", completeness: "DEGRADED" });
  });
});

describe("a journal that fails", () => {
  test("one that cannot write leaves the session's own rows, and nothing is lost or said to be", async () => {
    const live = await openSession("no journal");
    const exchanges = [await live.exchange()];
    const repair = await refuseInserts(journal(), "batch");
    exchanges.push(await live.exchange(), await live.exchange());
    const before = await tapeRows(live);
    await repair();
    exchanges.push(await live.exchange());
    expect(before.length).toBeGreaterThan(3);
    await live.forget();
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
  });

  test("one that dies under an append leaves it to the session's own rows, or keeps it: once either way", async () => {
    const live = await openSession("dying journal");
    const exchanges = [await live.exchange()];
    const tape = request();
    const begun = live.session.begin(live.id, alice, tape);
    await runInDurableObject(journal(), (_, state) => state.abort("killed")).catch(() => undefined);
    expect(await begun).toEqual({ ok: null });
    await live.session.respond(tape.x, { status: 200, headers: [], end: "complete" });
    exchanges.push(tape.x, await live.exchange());
    await live.forget();
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
  });

  test("a session whose journal cannot be read records nothing until it can, and has lost nothing then", async () => {
    const live = await openSession("unreadable");
    const exchanges = [await live.exchange()];
    await rowsOf(journal(), "ALTER TABLE batch RENAME TO hidden");
    await live.forget();
    expect(await failure(() => live.session.begin(live.id, alice, request()))).not.toBe("");
    await rowsOf(journal(), "ALTER TABLE hidden RENAME TO batch");
    exchanges.push(await live.exchange());
    await sealedAs(live, exchanges);
  });
});
