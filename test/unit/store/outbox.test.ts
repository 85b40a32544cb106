import fc from "fast-check";
import { expect, test } from "vitest";
import { nextDelay } from "#durable/store/outbox.ts";

test("attempts without jitter come after 0.5, 1, 2, 4 … and never more than 60 seconds", () => {
  const delays = Array.from({ length: 10 }, (_, n) => nextDelay(n + 1, 0));
  expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
  expect(nextDelay(0, 0)).toBe(500);
});

test("every delay is whole milliseconds between half a second and a minute, however long it has failed", () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.nat(), random, (attempt, chance) => {
      const delay = nextDelay(attempt, chance);
      expect(Number.isInteger(delay) && delay >= 500 && delay <= 60_000).toBe(true);
      expect(delay).toBeGreaterThanOrEqual(nextDelay(attempt, 0) / 2);
    }),
  );
});

test("objects that failed together come back apart", () => {
  expect(new Set([0, 0.25, 0.5, 0.75].map((chance) => nextDelay(5, chance))).size).toBe(4);
});
