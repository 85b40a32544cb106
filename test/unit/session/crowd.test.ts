import { expect, test } from "vitest";
import type { SessionId } from "#durable/format/ids.ts";
import { Crowd } from "#durable/session/crowd.ts";

const [a, b, c] = ["ses_a", "ses_b", "ses_c"] as SessionId[] as [SessionId, SessionId, SessionId];

test("a session that writes again and again is alone, however often", () => {
  const crowd = new Crowd();
  expect([0, 1, 2, 50].map((at) => crowd.joins(a, at))).toEqual([false, false, false, false]);
});

test("those that write in turn are together, each of them, until the other has not written for a while", () => {
  const crowd = new Crowd();
  expect(crowd.joins(a, 0)).toBe(false);
  expect(crowd.joins(b, 10)).toBe(true);
  expect(crowd.joins(a, 20)).toBe(true);
  expect(crowd.joins(a, 30)).toBe(true);
  expect(crowd.joins(a, 111)).toBe(false);
  expect(crowd.joins(c, 112)).toBe(true);
  expect(crowd.joins(b, 300)).toBe(false);
});
