/** Lets through what policy allowed and the recorder made durable: the only maker of `Cleared`. */
import { Refusal } from "#durable/format/refusal.ts";
import type { Cleared, Recorded } from "./exchange.ts";

export function clear(recorded: Recorded): Cleared {
  const { decision, clearance } = recorded;
  if (decision.verdict === "deny") throw new Refusal("denied", decision.reason, { parts: decision.denied });
  if (clearance === undefined) throw new Error("the recorder gave no clearance for an allowed exchange");
  return { ...recorded, clearance } as Cleared;
}
