/** What a session has done lately, for whoever decides what it does next: names and verdicts, no content. */
import { aboutOf } from "#durable/format/approval/about.ts";
import type { Done, SoFar } from "#durable/format/approval/approval.ts";
import type { DecisionFrame, RequestFrame, ResponseFrame } from "#durable/format/frame.ts";
import type { Tally } from "#durable/store/frame-writer.ts";

/** Exchanges that are told. */
export const DONE_MAX = 40;

/** Bytes of lines that are looked through. */
const LOOKED_THROUGH = 512 * 1024;

export function soFarOf(openedAt: number, tape: Recent): SoFar {
  const { exchanges, denied, taints = [] } = tape.tally;
  return {
    openedAt: new Date(openedAt).toISOString(),
    ...{ exchanges, denied, taints },
    done: doneIn(tape.newest(LOOKED_THROUGH)),
  };
}

/** Of a tape, what is asked here. */
type Recent = { readonly tally: Tally; readonly newest: (most: number) => Uint8Array };

type Line = { readonly t?: unknown } & (RequestFrame | DecisionFrame | ResponseFrame);
/** What a line is that says one of these; all else, bodies above all, is not even parsed. */
const SAYS = /^.{0,160}?"k":"(?:request|decision|response)"/s;

/** The newest exchanges that LF-ended lines tell of, in their order. What the lines begin in the midst of is left out. */
export function doneIn(lines: Uint8Array): Done[] {
  const done = new Map<string, Done>();
  for (const line of new TextDecoder().decode(lines).split("\n")) {
    if (!SAYS.test(line)) continue;
    const frame = JSON.parse(line) as Line;
    const known = done.get(frame.x);
    switch (frame.k) {
      case "request": {
        const { x, connection, operation } = frame;
        const at = typeof frame.t === "string" ? { at: frame.t } : {};
        done.set(x, { x, ...at, connection, kind: operation.kind, about: aboutOf(operation) });
        break;
      }
      case "decision":
        if (known) done.set(frame.x, { ...known, verdict: frame.verdict });
        break;
      case "response":
        if (known) done.set(frame.x, { ...known, status: frame.status });
        break;
    }
  }
  return [...done.values()].slice(-DONE_MAX);
}
