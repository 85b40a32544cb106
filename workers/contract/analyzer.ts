/** The analyzer of personal data as the gateway sees it: a model that somebody else runs, reached by egress. */
import type { Answer } from "#durable/format/tape.ts";

/** What it takes a part of a text for. */
export type Recognised = {
  /** `PERSON`, `LOCATION`, …: the analyzer's own names. */
  readonly entity: string;
  /** The first character, and the first behind it, counted in Unicode code points. */
  readonly start: number;
  readonly end: number;
};

export interface Analyzer {
  analyze(text: string): Promise<Answer<readonly Recognised[]>>;
}
