/** Policy's answer. Without one there is no exchange. */
import { Refusal } from "#durable/format/refusal.ts";
import type { Decided, Means, Read } from "./exchange.ts";

export async function decide(read: Read, means: Means): Promise<Decided> {
  const answer = await means.evaluator.decide(read.principal, read.inspected.questions);
  if ("no" in answer) throw new Refusal(answer.no.code, answer.no.message);
  return { ...read, decision: answer.ok };
}
