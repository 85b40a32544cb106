/** Lets through what policy allowed, or people approved, and the recorder made durable: the only maker of `Cleared`. */
import { Refusal } from "#durable/format/refusal.ts";
import type { Cleared, Recorded } from "./exchange.ts";

export function clear(recorded: Recorded): Cleared {
  const { decision, clearance } = recorded;
  switch (decision.verdict) {
    case "deny":
      throw new Refusal("denied", decision.reason, { parts: decision.denied });
    case "hold":
      if (clearance === undefined) throw unapproved(recorded);
      return { ...recorded, clearance } as Cleared;
    case "allow":
      if (clearance === undefined) throw new Error("the recorder gave no clearance for an allowed exchange");
      return { ...recorded, clearance } as Cleared;
  }
}

/** Of the gateway's own questions nobody is asked: what needs approval is not asked then. */
const unapproved = ({ decision: { reason, denied } }: Recorded): Refusal =>
  new Refusal("denied", `this needs approval, which nobody can give here: ${reason}`, { parts: denied });
