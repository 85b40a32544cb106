/** When a store is probed: at the first chance in each run of the recorder, and once a day. */
import * as v from "valibot";

const Last = v.object({
  /** Milliseconds since 1970. */
  at: v.number(),
  run: v.string(),
  n: v.number(),
});
/** The newest probe that was told, and how many there were. */
export type Last = v.InferOutput<typeof Last>;

const DAY_MS = 86_400_000;

export const readLast = (fact: string | undefined): Last | undefined =>
  fact === undefined ? undefined : v.parse(Last, JSON.parse(fact));

export const probeDue = (last: Last | undefined, run: string, now: number): boolean =>
  last === undefined || last.run !== run || now >= last.at + DAY_MS;
