import fc from "fast-check";
import { expect, test } from "vitest";
import { type Amounts, added, moved, NOTHING, type Window, wait } from "#durable/budget/window.ts";

const HOUR = 3_600_000;
const one: Amounts = { requests: 1, bytes: 0, tokens: 0 };

/** Takes one at each time where there is room, and says when. */
function taken(times: readonly number[], limit: number, length: number): number[] {
  let window: Window | undefined;
  return times.filter((now) => {
    window = moved(window, length, now);
    if (wait(window.current.requests, window.before.requests, limit, length, now) > 0) return false;
    window = added(window, one);
    return true;
  });
}

test("in one window of the clock there is never more than the limit", () => {
  const times = fc.array(fc.nat(5 * HOUR), { maxLength: 200 }).map((all) => all.toSorted((a, b) => a - b));
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 20 }), (all, limit) => {
      const counts = Map.groupBy(taken(all, limit, HOUR), (at) => Math.floor(at / HOUR));
      for (const [, { length }] of counts) expect(length).toBeLessThanOrEqual(limit);
    }),
  );
});

test("whoever waits as long as it is told, and no less, gets one more", () => {
  const used = fc.integer({ min: 0, max: 50 });
  fc.assert(
    fc.property(
      used,
      used,
      fc.integer({ min: 1, max: 40 }),
      fc.nat(HOUR - 1),
      (current, before, limit, now) => {
        const start = {
          at: 1,
          current: { ...NOTHING, requests: current },
          before: { ...NOTHING, requests: before },
        };
        const ms = wait(current, before, limit, HOUR, HOUR + now);
        const later = moved(start, HOUR, HOUR + now + ms);
        const left = wait(later.current.requests, later.before.requests, limit, HOUR, HOUR + now + ms);
        expect(left).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test("what was used long ago counts for nothing, and a clock that goes back begins anew", () => {
  const full = { at: 10, current: { ...NOTHING, requests: 9 }, before: NOTHING };
  expect(moved(full, HOUR, 12 * HOUR)).toEqual({ at: 12, current: NOTHING, before: NOTHING });
  expect(moved(full, HOUR, 11 * HOUR)).toEqual({ at: 11, current: NOTHING, before: full.current });
  expect(moved(full, HOUR, 3 * HOUR)).toEqual({ at: 3, current: NOTHING, before: NOTHING });
});
