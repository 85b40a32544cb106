/** What a head counts, counted again from the frames. */
import type { Frame } from "#durable/format/frame.ts";
import type { Head } from "#durable/format/head.ts";
import { utf8Length } from "../../bytes.ts";

export type Counts = Head["counts"];

/** Bytes of request body that were thrown away after a refusal: nothing is missing that was meant to be kept. */
export const REFUSED_GAP = "refused";

export const emptyCounts = (): Counts => ({ frames: 0, exchanges: 0, c2s: 0, s2c: 0, denied: 0, gaps: 0 });

/** `exchanges` counts requests, `denied` decisions, `c2s` and `s2c` body bytes, `gaps` what was not recorded. */
export function count(counts: Counts, frame: Frame | undefined): void {
  counts.frames += 1;
  switch (frame?.k) {
    case "request":
      counts.exchanges += 1;
      break;
    case "decision":
      if (frame.verdict === "deny") counts.denied += 1;
      break;
    case "data":
      counts[frame.dir] += dataLength(frame);
      break;
    case "gap":
      if (frame.cause !== REFUSED_GAP) counts.gaps += 1;
      break;
    case undefined:
    case "session.start":
    case "response":
    case "git":
    case "llm":
    case "mcp":
    case "catalogue":
    case "definition":
    case "mask":
    case "hold":
    case "approval":
    case "hook":
    case "join":
    case "session.end":
    case "session.truncated":
      break;
  }
}

/** How many body bytes a data frame stands for. */
export function dataLength(frame: Frame & { readonly k: "data" }): number {
  if ("d" in frame) return utf8Length(frame.d);
  if ("bytes" in frame) return frame.bytes[2];
  return "len" in frame ? frame.len : 0;
}
