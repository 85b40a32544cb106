/** What a head counts, counted again from the frames. */
import type { Frame } from "#durable/format/frame.ts";
import type { Head } from "#durable/format/head.ts";
import { utf8 } from "../bytes.ts";

export type Counts = Head["counts"];

/** Bytes of request body that were thrown away after a refusal: nothing is missing that was meant to be kept. */
export const REFUSED_GAP = "refused";

export const emptyCounts = (): Counts => ({ frames: 0, exchanges: 0, c2s: 0, s2c: 0, denied: 0, gaps: 0 });

/** `exchanges` counts requests, `denied` decisions, `c2s` and `s2c` body bytes, `gaps` what was not recorded. */
export function count(counts: Counts, frame: Frame | undefined): Counts {
  const next = { ...counts, frames: counts.frames + 1 };
  if (!frame) return next;
  switch (frame.k) {
    case "request":
      next.exchanges += 1;
      break;
    case "decision":
      if (frame.verdict === "deny") next.denied += 1;
      break;
    case "data":
      next[frame.dir] += dataLength(frame);
      break;
    case "gap":
      if (frame.cause !== REFUSED_GAP) next.gaps += 1;
      break;
    case "session.start":
    case "response":
    case "git":
    case "session.end":
    case "session.truncated":
      break;
  }
  return next;
}

/** How many body bytes a data frame stands for. */
export function dataLength(frame: Frame & { readonly k: "data" }): number {
  if ("d" in frame) return utf8(frame.d).byteLength;
  if ("bytes" in frame) return frame.bytes[2];
  return "len" in frame ? frame.len : 0;
}
