/** The evaluator as the gateway sees it. */
import type { Decision } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question } from "#durable/format/question/question.ts";
import type { Answer } from "#durable/format/tape.ts";

export type { ContextValue, Question, Resource } from "#durable/format/question/question.ts";

export interface Evaluator {
  decide(principal: Principal, questions: readonly Question[], facts: Facts): Promise<Answer<Decision>>;
}
