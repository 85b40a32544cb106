/** Asks the evaluator the same question once a moment: the answer is the same, and the way there is longer than it is. */
import type { Decision } from "#durable/format/decision.ts";
import type { Evaluator } from "#workers/contract/evaluator.ts";

/** How long an answer is used again. A changed policy is in force this much later, beside the evaluator's own poll. */
export const MOMENT_MS = 1_000;
const REMEMBERED_MAX = 4_096;
/** Questions of a push hold ids that no other push asks about. */
const KEY_MAX = 4_096;

export function remembering(evaluator: Evaluator, now: () => number): Evaluator {
  const answers = new Map<string, { readonly decision: Decision; readonly until: number }>();
  return {
    verdicts: (principal, questions, facts) => evaluator.verdicts(principal, questions, facts),
    async decide(principal, questions, facts) {
      const key = JSON.stringify([principal, questions, facts]);
      const known = answers.get(key);
      if (known && known.until > now()) return { ok: known.decision };
      const answer = await evaluator.decide(principal, questions, facts);
      if ("no" in answer || key.length > KEY_MAX) return answer;
      if (answers.size >= REMEMBERED_MAX) answers.clear();
      answers.set(key, { decision: answer.ok, until: now() + MOMENT_MS });
      return answer;
    },
    covering: (scopes, principal, questions, facts) =>
      evaluator.covering(scopes, principal, questions, facts),
  };
}
