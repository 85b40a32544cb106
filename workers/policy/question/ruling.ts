/** What one policy set says of one question. */
import { type Approvers, SEVERITIES, type Severity } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question } from "#durable/format/question/question.ts";
import type { Cedar } from "../cedar.ts";
import type { Policy, PolicySet } from "../set/policy-set.ts";
import { ask } from "./ask.ts";

export type Ruling = {
  readonly verdict: "allow" | "deny" | "hold";
  readonly policies: readonly string[];
  readonly reasons: readonly string[];
  /** Who must approve: not empty only for a hold. */
  readonly hold: readonly Approvers[];
  readonly mask: readonly string[];
  readonly taint: readonly string[];
  readonly severity: Severity | undefined;
};

/** Throws only when Cedar has stopped. */
export function rule(
  cedar: Pick<Cedar, "statefulIsAuthorized">,
  set: PolicySet,
  principal: Principal,
  question: Question,
  facts: Facts,
): Ruling {
  const told = ask(cedar, set, { principal, question, facts, lifted: false });
  if ("cannot" in told) return refusal([`the question cannot be asked: ${told.cannot}`]);
  const { decision, applied, failed, failures } = told;
  // Cedar leaves a policy out when it fails, even a forbid; here a failure denies.
  if (failed.length > 0) {
    const forbids = decision === "deny" ? applied : [];
    return refusal([...forbids.map(reasonOf), ...failures], [...forbids, ...failed]);
  }
  if (decision === "allow") return ruling("allow", applied);
  const silence = `no policy permits ${question.action} on ${question.part || question.resource.id}`;
  if (applied.length === 0) return refusal([silence]);
  if (!applied.every(({ hold }) => hold)) return refusal(applied.map(reasonOf), applied);
  // What only forbids with @hold stand against is held when it would be permitted without them, and else denied.
  const lifted = ask(cedar, set, { principal, question, facts, lifted: true });
  if ("cannot" in lifted || lifted.decision === "deny") return refusal([silence]);
  const held = ruling("hold", applied);
  return {
    ...held,
    mask: [...held.mask, ...lifted.applied.flatMap(({ mask }) => mask ?? [])],
    taint: [...held.taint, ...lifted.applied.flatMap(({ taint }) => taint ?? [])],
  };
}

function ruling(verdict: Ruling["verdict"], applied: readonly Policy[]): Ruling {
  return {
    verdict,
    policies: applied.map(({ id }) => id),
    reasons: applied.map(reasonOf),
    hold: verdict === "hold" ? applied.flatMap(({ hold }) => hold ?? []) : [],
    mask: verdict === "deny" ? [] : applied.flatMap(({ mask }) => mask ?? []),
    taint: verdict === "deny" ? [] : applied.flatMap(({ taint }) => taint ?? []),
    severity: highest(applied.map(({ severity }) => severity)),
  };
}

const refusal = (reasons: readonly string[], applied: readonly Policy[] = []): Ruling => ({
  ...ruling("deny", applied),
  reasons,
});

function reasonOf({ id, effect, reason }: Policy): string {
  return reason ?? `${effect === "permit" ? "permitted" : "forbidden"} by policy ${id}`;
}

export function highest(severities: readonly (Severity | undefined)[]): Severity | undefined {
  return SEVERITIES.findLast((one) => severities.includes(one));
}
