/** Which policy set the log has as the newest, and when another is news. */
import * as v from "valibot";

/** The newest policy set of the log, and how many there were. */
const Fact = v.object({ n: v.number(), set: v.string() });

/** A policy set that was in force so shortly ago is another front that has not read the new one yet. */
const FLAP_MS = 60_000;
const SETS_MAX = 256;

export type Change = {
  readonly key: string;
  readonly before: string | undefined;
  /** To be kept with the entry. */
  readonly fact: string;
};

export class PolicySets {
  /** When a set ceased to be the newest. */
  readonly #lost = new Map<string, number>();

  /** `known` is the fact as it was kept; `now` in milliseconds. */
  news(known: string | undefined, set: string, now: number): Change | undefined {
    const newest = known === undefined ? undefined : v.parse(Fact, JSON.parse(known));
    const lost = this.#lost.get(set) ?? Number.NEGATIVE_INFINITY;
    if (newest?.set === set || now < lost + FLAP_MS) return undefined;
    const n = newest?.n ?? 0;
    return { key: String(n), before: newest?.set, fact: JSON.stringify({ n: n + 1, set }) };
  }

  changed(before: string | undefined, now: number): void {
    if (before !== undefined) this.#lost.set(before, now);
    for (const old of this.#lost.keys()) if (this.#lost.size > SETS_MAX) this.#lost.delete(old);
  }
}
