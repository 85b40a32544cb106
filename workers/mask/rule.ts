/** One thing that is looked for. */
import type { Severity } from "#durable/format/decision.ts";
import type { Node } from "./pattern/parse.ts";

/** A part of a candidate, in bytes, that is what the rule is for. */
export type Proven = { readonly from: number; readonly to: number; readonly severity?: Severity };

export type Rule = {
  /** What the configuration and policies call it: `secrets`, `email`, … */
  readonly detector: string;
  /** Which of the detector's rules: `github-token`. */
  readonly name: string;
  readonly severity: Severity;
  /** What must stand before it and is not part of it. */
  readonly before?: Node;
  readonly match: Node;
  /** The same behind it. */
  readonly after?: Node;
  /** What of a candidate holds up: a checksum, entropy. Without it all of it does. */
  readonly prove?: (candidate: Uint8Array) => readonly Proven[];
};
