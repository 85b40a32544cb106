/** A body that is durable before it is decided upon: what may be added to it, and what the decision needs. */
import { type Commit, type Content, type Frame, fitsLine } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import type { RefusalCode } from "#durable/format/refusal.ts";
import type { DecisionTape, Target } from "#durable/format/tape.ts";
import type { Live } from "../session-tape.ts";

type No = { readonly no: { readonly code: RefusalCode; readonly message: string } };
const no = (code: RefusalCode, message: string): No => ({ no: { code, message } });

/** Whether `length` bytes at `off` are the next of a body, or those that were spooled last and whose reply was lost. */
export function nextOrKnown(live: Live, off: number, length: number): "next" | "known" | No {
  if (!live.spooled || live.ended.includes("c2s")) return no("malformed", "the body is not being spooled");
  if (off === live.c2s) return "next";
  if (off + length === live.c2s) return "known";
  return no("malformed", `bytes at ${off}, but ${live.c2s} are spooled`);
}

/** The frames of a decision on a spooled body, and where that body may go. */
export function decisionFrames(
  x: ExchangeId,
  live: Live,
  { content, decision, length }: DecisionTape,
): { readonly frames: readonly Frame[]; readonly target: Target } | No {
  if (!live.spooled) return no("malformed", `the body of ${x} is not spooled`);
  if (live.ended.includes("c2s")) return no("malformed", `${x} was decided before`);
  if (live.c2s !== length) return no("malformed", `${length} bytes, but ${live.c2s} are spooled`);
  const frames: Frame[] = [...content, { k: "decision", x, ...decision }];
  if (!frames.every(fitsLine)) return no("too_large", "what the request says is too long for the record");
  return { frames, target: live.spooled };
}

/** Commits of one session: the last head names them all, and is one value of a row. A push alone brings no more. */
export const COMMITS_MAX = 25_000;

export const commitsIn = (content: readonly Content[]): readonly Commit[] =>
  content.flatMap((frame) => (frame.k === "git" ? (frame.commits ?? []) : []));
