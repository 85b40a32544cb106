// Bodies that wait in the record for the decision on them: durable, in order, read again, and gone from the node after.
import { runDurableObjectAlarm } from "cloudflare:test";
import { beforeAll, beforeEach, expect, test } from "vitest";
import type { Decision } from "#durable/format/decision.ts";
import type { DecisionTape, RequestTape } from "#durable/format/tape.ts";
import { sha256, toHex } from "#durable/proof/bytes.ts";
import { acknowledged, alice, type LiveSession, openSession, request, verdict } from "./live-session.ts";
import { archive, clock, knowKey } from "./main.ts";

const MB = 1024 * 1024;
const random = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
};
const allow: Decision = {
  verdict: "allow",
  policies: ["p"],
  set: "0".repeat(64),
  reason: "",
  denied: [],
  mask: [],
};
const deny: Decision = { ...allow, verdict: "deny" };
const decisionOn = (bytes: Uint8Array, decision: Decision = allow): DecisionTape => ({
  content: [],
  taints: [],
  decision,
  length: bytes.byteLength,
  sha256: toHex(sha256(bytes)),
});

beforeAll(knowKey);
beforeEach(() => {
  clock.ahead = 0;
  archive.faults.length = 0;
});

async function spooling(live: LiveSession, over: Partial<RequestTape> = {}): Promise<RequestTape> {
  const { decision: _, ...tape } = request({
    method: "POST",
    path: "/app.git/git-receive-pack",
    body: { kind: "spooled" },
    ...over,
  });
  acknowledged(await live.session.begin(live.id, alice, tape));
  return tape;
}

async function spool(
  live: LiveSession,
  { x }: RequestTape,
  bytes: Uint8Array,
  piece = MB + 77,
): Promise<void> {
  for (let at = 0; at < bytes.byteLength; at += piece)
    acknowledged(await live.session.spool(x, at, bytes.subarray(at, at + piece)));
}

/** All that is read of a spooled body, from `off` on. */
async function read(live: LiveSession, { x }: RequestTape, off = 0): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let at = off; ; ) {
    const answer = await live.session.spooled(x, at);
    if ("no" in answer) throw new Error(answer.no.message);
    if (answer.ok.byteLength === 0) break;
    pieces.push(answer.ok);
    at += answer.ok.byteLength;
  }
  return new Uint8Array(await new Blob(pieces as never[]).arrayBuffer());
}

const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);

test.each(["full", "digest"] as const)(
  "a spooled body comes back byte for byte from anywhere, and is in the record as it was decided (bodies = %s)",
  async (bodies) => {
    const live = await openSession(`spooled-${bodies}`);
    const tape = await spooling(live, { bodies });
    const bytes = random(5 * MB + 123);
    await spool(live, tape, bytes);
    expect(same(await read(live, tape), bytes)).toBe(true);
    for (const off of [1, MB, 3 * MB + 5, bytes.byteLength - 1])
      expect(same(await read(live, tape, off), bytes.subarray(off))).toBe(true);
    const decided = await live.session.decide(live.id, tape.x, decisionOn(bytes));
    expect(decided).toEqual({
      ok: { connection: "code", method: "POST", path: "/app.git/git-receive-pack" },
    });
    // Until it has been answered, it is there for who sends it.
    expect(same(await read(live, tape), bytes)).toBe(true);
    acknowledged(await live.session.respond(tape.x, { status: 200, headers: [], end: "complete" }));
    expect(await live.session.spooled(tape.x, 0)).toMatchObject({ no: { code: "not_recorded" } });
    expect(await live.sql("SELECT count(*) AS n FROM spooled")).toEqual([{ n: 0 }]);
    await live.session.end("request");
    await live.sealed();
    expect((await verdict(live.id)).findings).toEqual([]);
    const kinds = live
      .frames()
      .map(({ k, end, verdict: said }) => [k, end ?? said].filter(Boolean).join(" "));
    expect([...new Set(kinds)]).toEqual([
      "session.start",
      "request",
      "data",
      "decision allow",
      "data complete",
      "response",
      "session.end",
    ]);
  },
);

test("a spooled body outlives the storing of its segments, and goes from the node when it is answered", async () => {
  const live = await openSession("stored");
  const tape = await spooling(live);
  const bytes = random(18 * MB);
  await spool(live, tape, bytes);
  // The first segment is full: it is stored, and its rows would be purged.
  for (let i = 0; i < 4; i++) await runDurableObjectAlarm(live.stub);
  expect(await live.sql("SELECT stored FROM segment WHERE kind = 'bytes'")).toEqual([{ stored: 1 }]);
  expect(same(await read(live, tape), bytes)).toBe(true);
  acknowledged(await live.session.decide(live.id, tape.x, decisionOn(bytes, deny)));
  const refusal = { code: "denied", message: "no" } as const;
  acknowledged(await live.session.respond(tape.x, { status: 200, headers: [], refusal, end: "complete" }));
  await live.exchange();
  expect(await live.sql("SELECT count(*) AS n FROM chunk WHERE segment = 0")).toEqual([{ n: 0 }]);
  await live.session.end("request");
  await live.sealed();
  expect((await verdict(live.id)).findings).toEqual([]);
  expect(live.frames().filter(({ end }) => end === "refused")).toHaveLength(1);
});

test("pieces sent twice are kept once, holes and other lengths are refused, and so is a second decision", async () => {
  const live = await openSession("order");
  const tape = await spooling(live);
  const bytes = random(1000);
  await spool(live, tape, bytes, 500);
  acknowledged(await live.session.spool(tape.x, 500, bytes.subarray(500)));
  expect(await live.session.spool(tape.x, 2000, bytes)).toMatchObject({ no: { code: "malformed" } });
  expect(await live.session.decide(live.id, tape.x, decisionOn(bytes.subarray(1)))).toMatchObject({
    no: { code: "malformed" },
  });
  acknowledged(await live.session.decide(live.id, tape.x, decisionOn(bytes)));
  expect(await live.session.decide(live.id, tape.x, decisionOn(bytes))).toMatchObject({
    no: { code: "malformed" },
  });
  expect(await live.session.spool(tape.x, 1000, bytes)).toMatchObject({ no: { code: "malformed" } });
  expect((await live.session.view())?.bytes).toBe(1000);
});

test("nothing is spooled into an exchange that streams, nor decided of one", async () => {
  const live = await openSession("streams");
  const tape = request({ method: "POST", body: { kind: "stream", prefix: new Uint8Array(4) } });
  acknowledged(await live.session.begin(live.id, alice, tape));
  expect(await live.session.spool(tape.x, 4, new Uint8Array(4))).toMatchObject({ no: { code: "malformed" } });
  expect(await live.session.decide(live.id, tape.x, decisionOn(new Uint8Array(4)))).toMatchObject({
    no: { code: "malformed" },
  });
  expect(await live.session.spooled(tape.x, 0)).toMatchObject({ no: { code: "not_recorded" } });
});

test("a session that is killed while a body is spooled cuts it, and nothing of it can leave", async () => {
  const live = await openSession("killed-spool");
  const tape = await spooling(live);
  const bytes = random(2 * MB);
  await spool(live, tape, bytes);
  await live.session.end("killed", "dave");
  expect(await live.session.decide(live.id, tape.x, decisionOn(bytes))).toMatchObject({
    no: { code: "session_ended" },
  });
  expect(await live.session.spooled(tape.x, 0)).toMatchObject({ no: { code: "not_recorded" } });
  await live.sealed();
  expect((await verdict(live.id)).findings).toEqual([]);
  expect(live.frames().filter(({ dir, end }) => dir === "c2s" && end === "cut")).toHaveLength(1);
});

test("an object that is made anew while a body is spooled goes on with it", async () => {
  const live = await openSession("forgotten-spool");
  const tape = await spooling(live);
  const bytes = random(3 * MB);
  await spool(live, tape, bytes.subarray(0, 2 * MB), MB);
  await live.forget();
  acknowledged(await live.session.spool(tape.x, 2 * MB, bytes.subarray(2 * MB)));
  expect(same(await read(live, tape), bytes)).toBe(true);
  acknowledged(await live.session.decide(live.id, tape.x, decisionOn(bytes)));
});
