/** What one run of the verifier works with. */
import type { Report } from "../finding.ts";
import type { SealKey } from "../key.ts";
import type { LogKeys, OpenedCheckpoint } from "../log/checkpoint.ts";
import type { Source } from "../read/source.ts";

export type Context = {
  readonly source: Source;
  readonly report: Report;
  /** Undefined when there is none that can be used: then nothing is said of signatures, but that. */
  readonly key: SealKey | undefined;
  /** The log's; undefined when there are none that can be used. */
  readonly log: LogKeys | undefined;
  /** Checkpoints that were opened, by their text: many entries bring the same one. */
  readonly opened: Map<string, Promise<OpenedCheckpoint | string>>;
  /** Milliseconds since 1970: ages of open sessions are counted to it. */
  readonly now: number;
  /** The source is the store itself, so what it says of retention is checked. */
  readonly retention: boolean;
  /** Bodies of pushes held in memory at once; a larger one is not checked, and that is said. */
  readonly packMax: number;
};
