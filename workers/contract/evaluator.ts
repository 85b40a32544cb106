/** The evaluator as the gateway sees it. */
import type { Decision } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question } from "#durable/format/question/question.ts";
import type { Answer } from "#durable/format/tape.ts";

export type { ContextValue, Question, Resource } from "#durable/format/question/question.ts";

/** What is said of one question by itself, and the policies that said so. */
export type Verdict = Pick<Decision, "verdict" | "policies">;

/** Held by the gateway. */
export interface Evaluator {
  /** One decision on all of them. */
  decide(principal: Principal, questions: readonly Question[], facts: Facts): Promise<Answer<Decision>>;
  /** What it would say of each by itself, in their order. */
  verdicts(
    principal: Principal,
    questions: readonly Question[],
    facts: Facts,
  ): Promise<Answer<readonly Verdict[]>>;
  /** Which of these texts, each the scope of a standing approval, cover the operation: their places. */
  covering(
    scopes: readonly string[],
    principal: Principal,
    questions: readonly Question[],
    facts: Facts,
  ): Promise<Answer<readonly number[]>>;
}

/** Held by the console. */
export interface Scope {
  /** Whether a standing approval can be for this; else what is wrong with it, in one sentence. */
  check(scope: string): Promise<Answer<null>>;
}
