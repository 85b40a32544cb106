/** What one run of the verifier works with. */
import type { Findings, Found, Report } from "../finding.ts";
import { importSealKey, type SealKey } from "../key.ts";
import type { LogKeys, OpenedCheckpoint } from "../log/checkpoint.ts";
import type { Source } from "../read/source.ts";
import type { OpenWith } from "../read/unsealed.ts";
import type { Policies } from "./log/policies.ts";
import type { Authorities } from "./log/timestamps.ts";
import { type Examined, examineSegment, type SegmentTask } from "./tape/examine.ts";

/** Plain values: what whoever verifies a part of an archive elsewhere has to know. */
export type Seed = {
  /** Of the key that signs heads; undefined when there is none that can be used: then nothing is said of signatures, but that. */
  readonly spki: Uint8Array<ArrayBuffer> | undefined;
  /** The log's; undefined when there are none that can be used. */
  readonly log: LogKeys | undefined;
  /** Those of all logs of the archive, when there are several: a checkpoint is held against the one it names. */
  readonly logs: readonly LogKeys[];
  /** Whose cosignatures its checkpoints had to bear. */
  readonly policies: Policies;
  /** Whose timestamps are believed. */
  readonly tsa: Authorities;
  /** Milliseconds since 1970: ages of open sessions are counted to it. */
  readonly now: number;
  /** The source is the store itself, so what it says of retention is checked. */
  readonly retention: boolean;
  /** Bodies of pushes held in memory at once; a larger one is not checked, and that is said. */
  readonly packMax: number;
};

/** What functions whoever verifies elsewhere has of their own. */
export type Given = {
  /** Absent where nothing encrypted can be opened. */
  readonly open?: OpenWith;
};

export type Context = Seed &
  Given & {
    readonly source: Source;
    readonly report: Report;
    /** Reports what was found elsewhere. */
    readonly add: (found: Found) => void;
    readonly key: SealKey | undefined;
    /** Checkpoints that were opened, by their text, the latest last: many entries bring the same one. */
    readonly opened: Map<string, Promise<OpenedCheckpoint | string>>;
    /** Who examines segments, and how many may be under way. */
    readonly examine: Examine;
    readonly width: number;
    readonly progress?: Progress;
  };

/** Told again and again how far the verifier is: of the log's entries, or of the stored bytes of sessions. */
export type Progress = (at: {
  readonly what: "log" | "sessions";
  readonly done: number;
  readonly of: number;
}) => void;

export type Examine = (task: SegmentTask) => Promise<Examined>;

/** What of a context crosses threads. */
export const seedOf = ({ spki, log, logs, policies, tsa, now, retention, packMax }: Context): Seed => ({
  spki,
  log,
  logs,
  policies,
  tsa,
  now,
  retention,
  packMax,
});

/** Without others, segments are examined one after another, here. */
export async function contextOf(
  source: Source,
  seed: Seed & Given,
  findings: Pick<Findings, "report" | "add">,
  others?: { readonly examine: Examine; readonly width: number },
): Promise<Context> {
  const key = seed.spki && (await importSealKey(seed.spki));
  const here = { examine: (task: SegmentTask) => examineSegment(source, task, seed.open), width: 1 };
  const { report } = findings;
  const add = (found: Found) => findings.add(found);
  return { ...seed, source, report, add, key, opened: new Map(), ...(others ?? here) };
}
