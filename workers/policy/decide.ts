/** Questions in, one decision out. Deny overrides, silence denies, and so does anything that goes wrong. */
import type { Decision, Denied } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Question } from "#workers/contract/evaluator.ts";
import type { Cedar } from "./cedar.ts";
import { resourceEntities, resourceUid, userEntity } from "./entities.ts";
import type { PolicySet } from "./policy-set.ts";
import { SCHEMA_NAME } from "./schema.ts";

export type Decide = (principal: Principal, questions: readonly Question[]) => Decision;

/** What the set says of one question. */
type Ruling = {
  readonly allowed: boolean;
  readonly policies: readonly string[];
  readonly reasons: readonly string[];
};

/** Answers remembered for each set, and the longest question worth remembering, in UTF-16 units. */
const REMEMBERED = 4096;
const KEY_MAX = 4096;
/** Reasons spelled out in one decision; every refused part still carries its own. */
const REASONS_MAX = 8;

/**
 * Decides by one set, and remembers answers for as long as the returned function lives. An operation is allowed when
 * every question is; the decision does not depend on the order of the questions. Throws only when Cedar has stopped.
 */
export function decider(cedar: Cedar, set: PolicySet, remembered = REMEMBERED): Decide {
  const answers = new Map<string, Ruling>();
  const rule = (principal: Principal, question: Question): Ruling => {
    const { part, action, resource, context } = question;
    const { issuer, subject, groups, agent } = principal;
    const key = JSON.stringify([issuer, subject, agent, groups, part, action, resource, context]);
    const known = answers.get(key);
    if (known) answers.delete(key);
    const ruling = known ?? ask(cedar, set, principal, question);
    if (key.length <= KEY_MAX) answers.set(key, ruling);
    if (answers.size > remembered) answers.delete(answers.keys().next().value as string);
    return ruling;
  };
  return (principal, questions) =>
    combine(
      set.digest,
      questions.map((question) => [question, rule(principal, question)] as const),
    );
}

function combine(digest: string, rulings: readonly (readonly [Question, Ruling])[]): Decision {
  if (rulings.length === 0) {
    return { verdict: "deny", policies: [], set: digest, reason: "nothing was asked", denied: [] };
  }
  const refused = rulings.filter(([, ruling]) => !ruling.allowed);
  const deciding = (refused.length > 0 ? refused : rulings).map(([, ruling]) => ruling);
  const policies = sorted(deciding.flatMap((ruling) => ruling.policies));
  const reasons = sorted(deciding.flatMap((ruling) => ruling.reasons));
  const parts = sorted(refused.map(([question]) => question.part)).filter((part) => part !== "");
  const denied = parts.map((part): Denied => {
    const own = refused
      .filter(([question]) => question.part === part)
      .flatMap(([, ruling]) => ruling.reasons);
    return { part, reason: sorted(own).join("; ") };
  });
  const more = reasons.length > REASONS_MAX ? [`and ${reasons.length - REASONS_MAX} more`] : [];
  return {
    verdict: refused.length > 0 ? "deny" : "allow",
    policies,
    set: digest,
    reason: [...reasons.slice(0, REASONS_MAX), ...more].join("; "),
    denied,
  };
}

function ask(cedar: Cedar, set: PolicySet, principal: Principal, question: Question): Ruling {
  let call: Parameters<Cedar["statefulIsAuthorized"]>[0];
  try {
    const user = userEntity(principal);
    call = {
      principal: user.uid,
      action: { type: "Action", id: question.action },
      resource: resourceUid(question.resource),
      context: Object.fromEntries(
        Object.entries(question.context).map(([name, value]) => [
          name,
          typeof value === "object" ? [...value] : value,
        ]),
      ),
      entities: [user, ...resourceEntities(question.resource)],
      preparsedPolicySetId: set.digest,
      preparsedSchemaName: SCHEMA_NAME,
      validateRequest: true,
    };
  } catch (cause) {
    return refusal(
      [],
      [`the question cannot be asked: ${cause instanceof Error ? cause.message : String(cause)}`],
    );
  }
  const answer = cedar.statefulIsAuthorized(call);
  if (answer.type === "failure") {
    return refusal(
      [],
      answer.errors.map((error) => `the question cannot be asked: ${error.message}`),
    );
  }
  const { decision, diagnostics } = answer.response;
  // Cedar leaves a policy out when it fails, even a forbid; here a failure denies.
  const failed = diagnostics.errors.map(({ policyId }) => policyId);
  const failures = diagnostics.errors.map(
    ({ policyId, error }) => `policy ${policyId} failed: ${error.message}`,
  );
  if (decision === "allow" && failed.length === 0) {
    const reasons = diagnostics.reason.map(
      (id) => set.policies.get(id)?.reason ?? `permitted by policy ${id}`,
    );
    return { allowed: true, policies: diagnostics.reason, reasons };
  }
  const forbids = decision === "deny" ? diagnostics.reason : [];
  const spoken = forbids.map((id) => set.policies.get(id)?.reason ?? `forbidden by policy ${id}`);
  if (forbids.length + failed.length > 0) return refusal([...forbids, ...failed], [...spoken, ...failures]);
  return refusal([], [`no policy permits ${question.action} on ${question.part || question.resource.id}`]);
}

const refusal = (policies: readonly string[], reasons: readonly string[]): Ruling => ({
  allowed: false,
  policies,
  reasons,
});

const sorted = (words: readonly string[]): string[] => [...new Set(words)].sort();
