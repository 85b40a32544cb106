/** What was found in text, and what was hidden of a body: where and how much, never what. */

import type { Severity } from "../decision.ts";

/** The detectors that come with Steno; a configuration may name patterns and dictionaries of its own beside them. */
export const DETECTORS = ["secrets", "email", "cards", "bank", "ids", "injection"] as const;

export type Finding = {
  /** What the configuration and policies call it: `secrets`, `email`, … */
  readonly detector: string;
  /** Which of the detector's rules: `github-token`. */
  readonly rule: string;
  readonly severity: Severity;
  /** The file or field it was found in. */
  readonly path: string;
  /** In bytes. */
  readonly off: number;
  readonly len: number;
  /** SHA-256 of what was found, lower-case hex. The recorder keys it before it writes it. */
  readonly sha256: string;
};

/** What was hidden of a body on its way. `off` is where its replacement stands in the body as it passed. */
export type Mask = Omit<Finding, "path">;

/** What stands in place of what was hidden. Its characters mean nothing in JSON strings, in SSE or in UTF-8. */
export const replacement = (detector: string): string => `[masked:${detector}]`;
