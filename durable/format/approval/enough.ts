/** When a hold is approved: the recorder decides by it, and the verifier decides again. */
import type { Approvers } from "../decision.ts";
import type { ApprovalEvent } from "./approval.ts";

/** Whether those who approved fill every place of every group, or somebody broke the glass. Nobody fills two. */
export function isEnough(hold: readonly Approvers[], events: readonly ApprovalEvent[]): boolean {
  if (events.some(({ step }) => step === "break-glass")) return true;
  const places = hold.flatMap(({ group, count }) => Array.from({ length: count }, () => group));
  const people = [...approvers(events).values()];
  /** The place that each person fills. */
  const filled = new Map<number, number>();
  return places.every((_, place) => fill(place, new Set()));

  /** Kuhn's augmenting paths: somebody moves to another of their places when that makes room. */
  function fill(place: number, tried: Set<number>): boolean {
    return people.some((groups, person) => {
      if (tried.has(person) || !groups.includes(places[place] ?? "")) return false;
      tried.add(person);
      const other = filled.get(person);
      if (other !== undefined && !fill(other, tried)) return false;
      filled.set(person, place);
      return true;
    });
  }
}

/** Everybody who approved, it or in advance, by who they are, with the groups they had then. */
export function approvers(events: readonly ApprovalEvent[]): ReadonlyMap<string, readonly string[]> {
  return new Map(
    events
      .flatMap(({ step, by, standing }) => (step === "approve" && by ? [by] : (standing?.by ?? [])))
      .map(({ issuer, subject, groups }) => [JSON.stringify([issuer, subject]), groups] as const),
  );
}
