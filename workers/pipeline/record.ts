/** Request, decision, and the known part of the body, durable before anything leaves. */
import { Refusal } from "#durable/format/refusal.ts";
import type { RequestBody, RequestTape } from "#durable/format/tape.ts";
import type { Body } from "#workers/wire/body.ts";
import type { Decided, Means, Recorded } from "./exchange.ts";

/** A decision frame is one line: the first of many denied parts stand for the rest, whose refs the git frames list. */
const DENIED_MAX = 100;

export async function record(decided: Decided, means: Means): Promise<Recorded> {
  const { x, connection, decision, inspected, opening } = decided;
  const { operation, abridged, outgoing, frames, body } = inspected;
  const tape: RequestTape = {
    x,
    connection: connection.name,
    operation: abridged ?? operation,
    method: outgoing.method,
    path: outgoing.path,
    headers: outgoing.headers,
    git: frames.map((frame) => ({ ...frame, x })),
    bodies: connection.bodies,
    body: known(body),
    decision: { ...decision, denied: decision.denied.slice(0, DENIED_MAX) },
  };
  const answer = await means.append.begin(opening, tape);
  if ("no" in answer) throw new Refusal(answer.no.code, answer.no.message);
  const { session, clearance } = answer.ok;
  return { ...decided, session, clearance };
}

export function known(body: Body): RequestBody {
  switch (body.kind) {
    case "none":
      return { kind: "none" };
    case "whole":
      return { kind: "whole", bytes: body.bytes };
    case "stream":
      return { kind: "stream", prefix: body.prefix };
  }
}
