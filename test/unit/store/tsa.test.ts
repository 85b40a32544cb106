/** The client of a timestamp authority: what it takes for an answer, and that a bad one costs little. */
import { describe, expect, test } from "vitest";
import { utf8 } from "#durable/proof/bytes.ts";
import { memoryTsa, type TsaMood } from "#test/support/memory-tsa.ts";

const TEXTS = ["a", "b", "c", "d", "e", "f"].map(utf8);
const now = () => Date.now();

describe("an authority", () => {
  test("is asked for each text, and its answers are in their order", async () => {
    const tsa = await memoryTsa({ now });
    const { stamps, absent } = await tsa.client.stamp(TEXTS);
    expect(absent).toBeUndefined();
    expect(stamps.map((stamp) => stamp?.token.policy)).toEqual(TEXTS.map(() => "1.2.3.4"));
    expect(
      new Set(stamps.map((stamp) => stamp && Buffer.from(stamp.token.digest).toString("hex"))).size,
    ).toBe(6);
    expect(await tsa.client.stamp([])).toEqual({ stamps: [] });
    expect(tsa.asked).toBe(6);
  });

  test.each<[string, TsaMood, RegExp]>([
    ["is down", "down", /connection refused/],
    ["loses its answer", "lost", /connection reset/],
    ["hangs", "hangs", /not done within 300 ms/],
    ["answers 500", { status: 500, body: new Uint8Array() }, /it answers 500/],
    ["sends elsewhere", { status: 307, body: new Uint8Array() }, /it answers 307/],
    ["answers nonsense", { status: 200, body: utf8("hello") }, /its answer: not /],
    ["answers without end", { status: 200, body: new Uint8Array(70_000) }, /more than 65536 bytes/],
    ["refuses", "refuses", /refused with status 2: "not today"/],
    ["answers another request", "another nonce", /another nonce: 05/],
    ["leaves the nonce out", "no nonce", /another nonce: none/],
    ["answers for another digest", "another digest", /over other bytes/],
    ["signs badly", "a bad signature", /its signature does not hold/],
  ])("that %s gives nothing, and it is said why", async (_, mood, why) => {
    const tsa = await memoryTsa({ now });
    tsa.mood = mood;
    const { stamps, absent } = await tsa.client.stamp(TEXTS);
    expect(stamps).toEqual(TEXTS.map(() => undefined));
    expect(absent).toMatch(why);
  });

  test("that fails is left alone for a while, and what it gave before is used", async () => {
    let ahead = 0;
    const tsa = await memoryTsa({ now: () => Date.now() + ahead, restMs: 60_000 });
    expect((await tsa.client.stamp(TEXTS)).absent).toBeUndefined();
    tsa.mood = "a bad signature";
    expect((await tsa.client.stamp(TEXTS)).absent).toBeDefined();
    tsa.mood = "well";
    const before = tsa.asked;
    expect(await tsa.client.stamp(TEXTS)).toEqual({ stamps: TEXTS.map(() => undefined) });
    expect(tsa.asked).toBe(before);
    ahead = 61_000;
    expect((await tsa.client.stamp(TEXTS)).stamps.every((stamp) => stamp)).toBe(true);
  });

  test("whose certificates nobody gave is believed as it is", async () => {
    const tsa = await memoryTsa({ now, unknown: true });
    tsa.mood = "a bad signature";
    expect((await tsa.client.stamp(TEXTS)).absent).toBeUndefined();
  });
});
