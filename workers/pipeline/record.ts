/** Request, decision, and the known part of the body, durable before anything leaves. */
import type { Decision, RecordedDecision } from "#durable/format/decision.ts";
import type { Content } from "#durable/format/frame.ts";
import { recordable } from "#durable/format/question/asked.ts";
import type { ContextValue, Question } from "#durable/format/question/question.ts";
import type { RequestBody, RequestTape } from "#durable/format/tape.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import { maskerFor } from "#workers/mask/reading.ts";
import { concat } from "#workers/mask/stream/out.ts";
import type { Body } from "#workers/wire/body.ts";
import { granted } from "#workers/wire/problem.ts";
import type { Masked, Means, Read, Recorded } from "./exchange.ts";

/** Letters of reasons that a decision frame, which is one line, has room for. */
const REASON_MAX = 4_000;
const DENIED_MAX = 8_000;
/** Bytes a decision's line has for its members: LINE_MAX without the prefix, the exchange and punctuation. */
const MEMBERS_MAX = 64_000;

export async function record(decided: Masked, means: Means): Promise<Recorded> {
  const { x, opening, inspected, facts } = decided;
  const { taints } = facts;
  const { body } = inspected;
  const decision = withQuestions(fitting(decided.decision), decided);
  const tape = withHidden(requestTape(decided), decided);
  const answer =
    body.kind === "spooled"
      ? await means.append.decide(body.session, x, {
          content: tape.content,
          decision,
          taints,
          length: body.length,
          sha256: body.sha256,
        })
      : await means.append.begin(opening, { ...tape, body: known(body), decision, taints });
  const { session, clearance } = granted(answer);
  return { ...decided, session, clearance };
}

const withHidden = <T extends { readonly content: readonly Content[] }>(tape: T, { hidden }: Masked): T => ({
  ...tape,
  content: [...tape.content, ...hidden],
});

/** The request itself, without its body and what was decided upon it. */
export function requestTape({ x, connection, inspected }: Read): Omit<RequestTape, "body" | "decision"> {
  const { operation, abridged, outgoing, frames } = inspected;
  return {
    x,
    connection: connection.name,
    operation: abridged ?? operation,
    method: outgoing.method,
    path: outgoing.path,
    headers: outgoing.headers,
    content: frames.map((frame) => ({ ...frame, x }) as Content),
    bodies: connection.bodies,
  };
}

/** With what was asked, so that another policy set can be asked the same later. */
function withQuestions(decision: Decision, { principal, facts, inspected, rules }: Masked): RecordedDecision {
  const questions = rules ? inspected.questions.map((one) => hidden(one, rules)) : inspected.questions;
  const room = MEMBERS_MAX - new TextEncoder().encode(JSON.stringify(decision)).byteLength;
  return { ...decision, asked: recordable({ groups: principal.groups, facts, questions }, room) };
}

/** What is hidden in the body is hidden in the question too: a command stands in both. */
function hidden(question: Question, rules: Rules): Question {
  const masked = (text: string): string => {
    const masker = maskerFor("text", rules);
    const shown = concat([masker.push(new TextEncoder().encode(text)), masker.end()]);
    return new TextDecoder().decode(shown);
  };
  const context = Object.entries(question.context).map(([name, value]): [string, ContextValue] => [
    name,
    typeof value === "string" ? masked(value) : typeof value === "object" ? value.map(masked) : value,
  ]);
  return { ...question, context: Object.fromEntries(context) };
}

export function known(body: Body): RequestBody {
  switch (body.kind) {
    case "none":
      return { kind: "none" };
    case "whole":
      return { kind: "whole", bytes: body.bytes };
    case "stream":
      return { kind: "stream", prefix: body.prefix };
    case "spooled":
      return { kind: "spooled" };
  }
}

const fitting = (decision: Decision): Decision => ({
  ...decision,
  reason: decision.reason.slice(0, REASON_MAX),
  denied: first(decision.denied),
});

/** The first of many denied parts stand for the rest, whose refs the git frames list. */
function first(denied: Decision["denied"]): Decision["denied"] {
  let room = DENIED_MAX;
  return denied.filter(({ part, reason }) => {
    room -= part.length + reason.length;
    return room >= 0;
  });
}
