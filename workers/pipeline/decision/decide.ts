/** Policy's answer. Without one there is no exchange. */

import type { Decision } from "#durable/format/decision.ts";
import { type Facts, momentOf } from "#durable/format/question/question.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { letGo } from "#workers/contract/let-go.ts";
import { find } from "../body/find.ts";
import type { Decided, Means, Read } from "../exchange.ts";

export async function decide(read: Read, means: Means): Promise<Decided> {
  const { principal, opening, inspected } = read;
  const facts: Facts = {
    now: momentOf(means.now()),
    client: opening.client,
    taints: means.taints.of(opening),
  };
  const { questions, clean } = await find(read, means);
  const answer = await means.evaluator.decide(principal, questions, facts);
  letGo(answer);
  if ("no" in answer) throw new Refusal(answer.no.code, answer.no.message);
  const decision = named(answer.ok, inspected);
  return { ...read, inspected: { ...inspected, questions }, facts, clean, decision };
}

/** What is refused says where to look: whoever sent it has to take it out. */
function named(decision: Decision, { named }: Read["inspected"]): Decision {
  if (!named) return decision;
  const denied = decision.denied.map(({ part, reason }) => {
    const where = named(part);
    return { part, reason: where === undefined ? reason : `${reason}: ${where}` };
  });
  return { ...decision, denied };
}
