/** What one policy set says of one question. */
import { type Approvers, SEVERITIES, type Severity } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question } from "#durable/format/question/question.ts";
import type { AuthorizationCall, Cedar } from "./cedar.ts";
import { liftedName, type Policy, type PolicySet } from "./policy-set.ts";
import { contextOf } from "./question/context.ts";
import { resourceEntities, resourceUid, userEntity } from "./question/entities.ts";
import { SCHEMA_NAME } from "./schema.ts";

export type Ruling = {
  readonly verdict: "allow" | "deny" | "hold";
  readonly policies: readonly string[];
  readonly reasons: readonly string[];
  /** Who must approve: not empty only for a hold. */
  readonly hold: readonly Approvers[];
  readonly mask: readonly string[];
  readonly severity: Severity | undefined;
};

/** Throws only when Cedar has stopped. */
export function rule(
  cedar: Cedar,
  set: PolicySet,
  principal: Principal,
  question: Question,
  facts: Facts,
): Ruling {
  let call: AuthorizationCall;
  try {
    call = callOf(principal, question, facts);
  } catch (cause) {
    return refusal([
      `the question cannot be asked: ${cause instanceof Error ? cause.message : String(cause)}`,
    ]);
  }
  const answer = cedar.statefulIsAuthorized({ ...call, preparsedPolicySetId: set.digest });
  if (answer.type === "failure") {
    return refusal(answer.errors.map((error) => `the question cannot be asked: ${error.message}`));
  }
  const { decision, diagnostics } = answer.response;
  const applied = policiesOf(set, diagnostics.reason);
  // Cedar leaves a policy out when it fails, even a forbid; here a failure denies.
  const failed = policiesOf(
    set,
    diagnostics.errors.map(({ policyId }) => policyId),
  );
  if (failed.length > 0) {
    const failures = diagnostics.errors.map(
      ({ policyId, error }) => `policy ${policyId} failed: ${error.message}`,
    );
    const forbids = decision === "deny" ? applied : [];
    return refusal([...forbids.map(reasonOf), ...failures], [...forbids, ...failed]);
  }
  if (decision === "allow") return ruling("allow", applied);
  const silence = `no policy permits ${question.action} on ${question.part || question.resource.id}`;
  if (applied.length === 0) return refusal([silence]);
  if (!applied.every(({ hold }) => hold)) return refusal(applied.map(reasonOf), applied);
  // What only forbids with @hold stand against is held when it would be permitted without them, and else denied.
  const lifted = cedar.statefulIsAuthorized({ ...call, preparsedPolicySetId: liftedName(set) });
  if (lifted.type === "failure" || lifted.response.decision === "deny") return refusal([silence]);
  const permits = policiesOf(set, lifted.response.diagnostics.reason);
  const held = ruling("hold", applied);
  return { ...held, mask: [...held.mask, ...permits.flatMap(({ mask }) => mask ?? [])] };
}

/** The slice of the world that one question needs; the policy set is still to be named. Throws for what cannot be asked. */
export function callOf(principal: Principal, question: Question, facts: Facts): AuthorizationCall {
  const user = userEntity(principal);
  return {
    principal: user.uid,
    action: { type: "Action", id: question.action },
    resource: resourceUid(question.resource),
    context: contextOf(question, facts),
    entities: [user, ...resourceEntities(question.resource)],
    preparsedSchemaName: SCHEMA_NAME,
    validateRequest: true,
  };
}

function ruling(verdict: Ruling["verdict"], applied: readonly Policy[]): Ruling {
  return {
    verdict,
    policies: applied.map(({ id }) => id),
    reasons: applied.map(reasonOf),
    hold: verdict === "hold" ? applied.flatMap(({ hold }) => hold ?? []) : [],
    mask: verdict === "deny" ? [] : applied.flatMap(({ mask }) => mask ?? []),
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

const policiesOf = (set: PolicySet, ids: readonly string[]): Policy[] =>
  ids.flatMap((id) => set.policies.get(id) ?? []);

export function highest(severities: readonly (Severity | undefined)[]): Severity | undefined {
  return SEVERITIES.findLast((one) => severities.includes(one));
}
