/** Lets through what policy allowed and the recorder made durable: the only maker of `Cleared`. */
import type { Decision } from "#durable/format/decision.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Cleared, Recorded } from "./exchange.ts";

export function clear(recorded: Recorded): Cleared {
  const { decision, clearance } = recorded;
  switch (decision.verdict) {
    case "deny":
      throw new Refusal("denied", decision.reason, { parts: decision.denied });
    case "hold":
      throw unapproved(decision);
    case "allow":
      if (clearance === undefined) throw new Error("the recorder gave no clearance for an allowed exchange");
      return { ...recorded, clearance } as Cleared;
  }
}

/** Nobody can be asked here, so what needs approval is refused. */
function unapproved({ hold, reason, denied }: Decision & { readonly verdict: "hold" }): Refusal {
  const who = hold.map(({ group, count }) => (count === 1 ? group : `${count} of ${group}`)).join(" and ");
  const needs = `needs approval by ${who}; holds are not available`;
  const parts = denied.map((one) => ({ part: one.part, reason: `${needs}: ${one.reason}` }));
  return new Refusal("denied", `${needs}: ${reason}`, { parts });
}
