/** Who may decide on a hold. */
import { isEnough } from "#durable/format/approval/enough.ts";
import type { Resting } from "#durable/format/approval/standing.ts";
import type { Approvers } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";

type Hold = { readonly principal: Principal; readonly hold: readonly Approvers[] };

/** Why this person has no say in it; undefined when they have. */
export function whyNot(held: Hold, by: Principal): string | undefined {
  const { hold } = held;
  const never = whyNever(held, by);
  if (never !== undefined) return never;
  if (hold.some(({ group }) => by.groups.includes(group))) return undefined;
  return `this takes a member of ${hold.map(({ group }) => group).join(" or ")}`;
}

/** The same of breaking the glass, which is for members of `groups`. */
export function whyNotBreak(held: Hold, by: Principal, groups: readonly string[]): string | undefined {
  const never = whyNever(held, by);
  if (never !== undefined) return never;
  if (groups.length === 0) return "nobody may break the glass: no group is configured";
  if (groups.some((group) => by.groups.includes(group))) return undefined;
  return `breaking the glass takes a member of ${groups.join(" or ")}`;
}

/** Those of them who have a say in it, as whom they granted it; undefined when they are too few. */
export function enoughOf(held: Hold, standing: Resting): Resting | undefined {
  const by = standing.by.filter((person) => whyNot(held, person) === undefined);
  const event = { n: 1, step: "standing", at: "", standing: { ...standing, by } } as const;
  return isEnough(held.hold, [event]) ? event.standing : undefined;
}

/** Nobody decides on their own, whatever group they are in. */
function whyNever({ principal }: Hold, by: Principal): string | undefined {
  if (by.agent !== undefined) return "an agent cannot decide on an approval";
  // An agent's subject is the person it acts for: neither approves for the other.
  if (by.subject === principal.subject && by.issuer === principal.issuer)
    return "nobody decides on what they asked for themselves, or what an agent asked for on their behalf";
  return by.subject === principal.agent ? "an agent cannot decide on an approval" : undefined;
}
