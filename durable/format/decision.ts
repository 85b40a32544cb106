/** What policy says of an operation, and which policies said so. */
import type { Asked, Omitted } from "./question/asked.ts";

export type Decision = Said &
  (
    | { readonly verdict: "allow" | "deny" }
    /** Permitted once these have approved: members of each group, as many as it says. Never empty. */
    | { readonly verdict: "hold"; readonly hold: readonly Approvers[] }
  );

/** A decision as it is recorded. Older frames say nothing of what was asked. */
export type RecordedDecision = Decision & { readonly asked?: Asked | Omitted };

type Said = {
  /** Ids of the policies that determined it; empty when no policy applied (default deny). */
  readonly policies: readonly string[];
  /** SHA-256 of the policy set, lower-case hex. */
  readonly set: string;
  /** What the person reads: the `@reason` of the deciding policies, or why nothing applied. */
  readonly reason: string;
  /** What was not allowed, for operations of several parts: refs of a push. Empty when all or nothing. */
  readonly denied: readonly Denied[];
  /** Detectors whose findings are hidden in transit: the union of `@mask` over the policies that applied. Absent when none. */
  readonly mask?: readonly string[];
  /** What the session has to its name once this is let through: the union of `@taint`. Absent when nothing. */
  readonly taint?: readonly string[];
  /** The highest `@severity` of the policies that determined it; absent when none has one. */
  readonly severity?: Severity;
};

export type Denied = { readonly part: string; readonly reason: string };
export type Approvers = { readonly group: string; readonly count: number };

/** From the least to the greatest. */
export const SEVERITIES = ["low", "medium", "high", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];
