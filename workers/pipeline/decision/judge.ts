/** Decides, masks and records, again when the session has changed since what the decision was made on. */
import { Refusal } from "#durable/format/refusal.ts";
import { mask } from "../body/mask.ts";
import type { Means, Reached, Read, Recorded } from "../exchange.ts";
import { record } from "../record.ts";
import { decide } from "./decide.ts";

/** A session whose exchanges taint it all the time would otherwise be asked for ever. */
const ATTEMPTS_MAX = 4;

/** `reach` is told of each step, for the one place that refuses. */
export async function judge(read: Read, means: Means, reach: (step: Reached) => void): Promise<Recorded> {
  for (let attempt = 1; ; attempt++) {
    const decided = await decide(read, means);
    reach(decided);
    const masked = mask(decided, means);
    reach(masked);
    try {
      return await record(masked, means);
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.taints === undefined || attempt === ATTEMPTS_MAX)
        throw thrown;
      means.taints.learn(read.opening, thrown.taints);
    }
  }
}
