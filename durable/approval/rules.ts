/** Who may decide on a hold. */
import type { Approvers } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";

type Hold = { readonly principal: Principal; readonly hold: readonly Approvers[] };

/** Why this person has no say in it; undefined when they have. */
export function whyNot({ principal, hold }: Hold, by: Principal): string | undefined {
  if (by.agent !== undefined) return "an agent cannot decide on an approval";
  // An agent's subject is the person it acts for: neither approves for the other.
  if (by.subject === principal.subject && by.issuer === principal.issuer)
    return "nobody decides on what they asked for themselves, or what an agent asked for on their behalf";
  if (by.subject === principal.agent) return "an agent cannot decide on an approval";
  if (hold.some(({ group }) => by.groups.includes(group))) return undefined;
  return `this takes a member of ${hold.map(({ group }) => group).join(" or ")}`;
}
