/** What the detectors find in a request, for policies to decide upon; nothing is changed by it. */
import { SEVERITIES } from "#durable/format/decision.ts";
import type { Question } from "#durable/format/question/question.ts";
import { maskerFor } from "#workers/mask/reading.ts";
import type { Means, Read } from "../exchange.ts";

/**
 * The questions, with the names of all detectors that found something in the known part of the body, and how severe that
 * is. `inspected` is true only when that part is all of it.
 */
export function find({ inspected }: Read, means: Means): readonly Question[] {
  const { questions, body, reading = "none", outgoing } = inspected;
  if (reading === "none") return questions;
  const coded = outgoing.headers.some(([name]) => name === "content-encoding");
  const known = body.kind === "whole" ? body.bytes : body.kind === "stream" ? body.prefix : undefined;
  const whole = body.kind === "none" || (body.kind === "whole" && !coded);
  const rules = known && !coded ? means.detectors.choose(["*"]) : undefined;
  if (!rules || !known) return questions.map((question) => withFound(question, [], 0, whole));
  const masker = maskerFor(reading, rules);
  masker.push(known);
  masker.end();
  const found = masker.masks();
  const severity = Math.max(0, ...found.map((mask) => SEVERITIES.indexOf(mask.severity) + 1));
  const findings = [...new Set(found.map(({ detector }) => detector))].toSorted();
  return questions.map((question) => withFound(question, findings, severity, whole));
}

const withFound = (
  question: Question,
  findings: readonly string[],
  severity: number,
  inspected: boolean,
): Question => ({
  ...question,
  context: {
    ...question.context,
    findings,
    severity,
    // An adapter that could not tell what it touches says so itself.
    inspected: inspected && question.context["inspected"] !== false,
  },
});
