/** What the detectors find in a request, for policies to decide upon; nothing is changed by it. */
import { SEVERITIES, type Severity } from "#durable/format/decision.ts";
import type { Question } from "#durable/format/question/question.ts";
import { PRESIDIO } from "#workers/mask/analysis/analysis.ts";
import { textsOf } from "#workers/mask/analysis/texts.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import { maskerFor, type Reading } from "#workers/mask/reading.ts";
import type { Means, Read } from "../exchange.ts";

export type Searched = {
  readonly questions: readonly Question[];
  /** Those that found nothing in all of the body. */
  readonly clean?: Rules;
};

/**
 * The questions, with the names of all detectors that found something in the known part of the body, and how severe that
 * is. `inspected` is true only when that part is all of it, and all of it was looked into.
 */
export async function find({ inspected }: Read, means: Means): Promise<Searched> {
  const { questions, body, reading = "none", outgoing } = inspected;
  if (reading === "none") return { questions };
  const coded = outgoing.headers.some(([name]) => name === "content-encoding");
  const known = body.kind === "whole" ? body.bytes : body.kind === "stream" ? body.prefix : undefined;
  const whole = body.kind === "none" || (body.kind === "whole" && !coded);
  const rules = known && !coded ? means.detectors.choose(["*"]) : undefined;
  if (!rules || !known) return { questions: questions.map((question) => withFound(question, [], 0, whole)) };
  const masker = maskerFor(reading, rules);
  masker.push(known);
  masker.end();
  const found = masker.masks();
  const analysed = await analyse(reading, known, means);
  const severities = [...found.map((mask) => mask.severity), ...analysed.severities];
  const severity = Math.max(0, ...severities.map((one) => SEVERITIES.indexOf(one) + 1));
  const findings = [...new Set([...found.map(({ detector }) => detector), ...analysed.findings])].toSorted();
  return {
    questions: questions.map((question) => withFound(question, findings, severity, whole && analysed.whole)),
    ...(whole && found.length === 0 && { clean: rules }),
  };
}

type Found = {
  readonly findings: readonly string[];
  readonly severities: readonly Severity[];
  readonly whole: boolean;
};

/** What the analyzer found is called `presidio`, and `presidio:PERSON`. */
async function analyse(
  reading: Exclude<Reading, "none">,
  known: Uint8Array,
  { analysis }: Means,
): Promise<Found> {
  if (!analysis) return { findings: [], severities: [], whole: true };
  const { found, whole } = await analysis.of(textsOf(reading, known));
  const entities = new Set(found.flat().map(({ entity }) => entity));
  if (entities.size === 0) return { findings: [], severities: [], whole };
  const findings = [PRESIDIO, ...[...entities].map((entity) => `${PRESIDIO}:${entity}`)];
  return { findings, severities: [analysis.severity], whole };
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
