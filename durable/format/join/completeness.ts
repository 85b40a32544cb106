/** Whether a session is all of what its agent did, as far as anything known here can tell. */
import * as v from "valibot";
import type { EndReason } from "../frame.ts";
import type { Join } from "./join.ts";

const Count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** `claimed_not_seen`: it may have gone elsewhere. `hooks_missing`: a conversation acted, and no hook spoke of it. */
export const Reason = v.picklist([
  "claimed_not_seen",
  "seen_not_claimed",
  "hooks_missing",
  "not_ended",
  "recorder_gap",
  "truncated",
]);
export type Reason = v.InferOutput<typeof Reason>;

export const Completeness = v.object({
  verdict: v.picklist(["COMPLETE", "DEGRADED", "INCOMPLETE"]),
  /** Events of hooks, and claims of theirs that were seen. */
  hooks: Count,
  matched: Count,
  reasons: v.array(v.object({ reason: Reason, count: Count })),
});
export type Completeness = v.InferOutput<typeof Completeness>;

/** `gaps` as a head counts them. The join has been ended. */
export function completenessOf(join: Join, gaps: number, end: EndReason | "truncated"): Completeness {
  const { hooks, matched, unclaimed, unseen, conversation } = join;
  const hooked = hooks > 0;
  const counts: Record<Reason, number> = {
    claimed_not_seen: unseen,
    seen_not_claimed: hooked ? unclaimed : 0,
    hooks_missing: !hooked && conversation ? unclaimed : 0,
    not_ended: hooked && endsByItself(end) ? 1 : 0,
    recorder_gap: gaps,
    truncated: end === "truncated" ? 1 : 0,
  };
  const reasons = Reason.options.flatMap((reason) =>
    counts[reason] > 0 ? [{ reason, count: counts[reason] }] : [],
  );
  const verdict = unseen > 0 ? "INCOMPLETE" : reasons.length > 0 ? "DEGRADED" : "COMPLETE";
  return { verdict, hooks, matched, reasons };
}

/** No event of the agent's, and nobody else, ended it. */
function endsByItself(end: EndReason | "truncated"): boolean {
  switch (end) {
    case "idle":
    case "max":
    case "truncated":
      return true;
    case "request":
    case "killed":
      return false;
  }
}
