/** What a push says, cut into `git` frames, and operations cut to fit the one line of their request frame. */
import type {
  Changes,
  Commit,
  GitFrame,
  PushFinding,
  PushFindings,
  TextDiff,
} from "#durable/format/frame.ts";
import type { GitOperation, RefUpdate } from "#durable/format/operation.ts";
import { cut } from "./pack/commit.ts";
import type { PackContents } from "./pack/pack.ts";
import type { NewFindings } from "./push/new-findings.ts";

/** Bytes of JSON a frame may take here: the line's limit is 65,535 with its prefix, exchange and punctuation. */
export const JSON_MAX = 48 * 1024;

/** Bytes of JSON all lists of changed paths of one push may take together, and all findings. */
const CHANGES_MAX = 8 * 1024 * 1024;
const FINDINGS_MAX = 1024 * 1024;

type PushFrame = Omit<GitFrame, "x">;
/** What a push changes, as far as it was told. */
export type Told = {
  readonly changes: readonly Changes[];
  readonly diffs?: readonly TextDiff[];
  readonly uncompared?: string;
  readonly findings?: NewFindings;
};

/** Updates first, then the pack's summary, the commits in the pack's order, what changes, and what was found. */
export function pushFrames(
  updates: readonly RefUpdate[],
  contents: PackContents | undefined,
  told: Told = { changes: [] },
): readonly PushFrame[] {
  const updateFrames = pieces(updates).map((piece): PushFrame => ({ k: "git", updates: piece }));
  const summary: PushFrame[] = contents ? [{ k: "git", pack: contents.summary }] : [];
  const commits = pieces((contents?.commits ?? []).map(fitting));
  const commitFrames = commits.map((piece): PushFrame => ({ k: "git", commits: piece }));
  const { uncompared, diffs = [] } = told;
  const diffFrames = pieces(diffs.map(fittingDiff)).map((piece): PushFrame => ({ k: "git", diffs: piece }));
  const reason: PushFrame[] =
    uncompared === undefined ? [] : [{ k: "git", uncompared: cut(uncompared, 1024) }];
  return [
    ...updateFrames,
    ...summary,
    ...commitFrames,
    ...changeFrames(told.changes),
    ...diffFrames,
    ...reason,
    ...findingFrames(told.findings),
  ];
}

/** Nothing when nothing was found and all was looked into. */
function findingFrames(findings: NewFindings | undefined): readonly PushFrame[] {
  if (!findings) return [];
  let room = FINDINGS_MAX;
  const { unscanned } = findings;
  const kept = findings.found.filter((finding) => {
    room -= jsonBytes(finding);
    return room >= 0;
  });
  const omitted = findings.omitted + findings.found.length - kept.length;
  const rest = { ...(omitted > 0 && { omitted }), ...(unscanned > 0 && { unscanned }) };
  const lists = pieces<PushFinding>(kept).map((found): PushFindings => ({ found }));
  const last = lists.at(-1) ?? (omitted + unscanned > 0 ? { found: [] } : undefined);
  const ending = last ? [{ ...last, ...rest }] : [];
  return [...lists.slice(0, -1), ...ending].map((each): PushFrame => ({ k: "git", findings: each }));
}

function changeFrames(all: readonly Changes[]): readonly PushFrame[] {
  let room = CHANGES_MAX;
  return all.flatMap(({ paths, ...about }): PushFrame[] => {
    const lists = pieces(paths);
    const kept = lists.filter((piece) => {
      room -= jsonBytes(piece);
      return room >= 0;
    });
    const omitted = paths.length - kept.reduce((sum, piece) => sum + piece.length, 0);
    const frames = (kept.length > 0 ? kept : [[]]).map((piece) => ({ ...about, paths: piece }));
    const last = frames.pop() ?? { ...about, paths: [] };
    const ending = omitted > 0 ? { ...last, omitted } : last;
    return [...frames, ending].map((changes): PushFrame => ({ k: "git", changes }));
  });
}

/** The operation as its request frame can hold it, or undefined when it fits as it is. */
export function abridged<Op extends GitOperation>(operation: Op): Op | undefined {
  if (jsonBytes(operation) <= JSON_MAX) return undefined;
  let room = JSON_MAX - 16 * 1024;
  let omitted = 0;
  const kept = (items: readonly unknown[]): readonly unknown[] => {
    const fit = items.findIndex((item) => {
      room -= jsonBytes(item) + 1;
      return room < 0;
    });
    if (fit < 0) return items;
    omitted += items.length - fit;
    return items.slice(0, fit);
  };
  // Short lists first: the one that is too long is the only one that loses anything.
  const byLength = Object.entries(operation).sort(([, a], [, b]) => jsonBytes(a) - jsonBytes(b));
  const cutDown = new Map(
    byLength.map(([name, value]) => [name, Array.isArray(value) ? kept(value) : short(value)]),
  );
  const inOrder = Object.keys(operation).map((name) => [name, cutDown.get(name)]);
  return { ...Object.fromEntries(inOrder), omitted } as Op;
}

/** Only a filter or a list of bounds can be long, and only in a request nobody's git sends. */
const short = (value: unknown): unknown =>
  typeof value === "string" && value.length > 2048 ? cut(value, 1024) : value;

/** A diff that fits into a frame of its own. */
function fittingDiff(diff: TextDiff): TextDiff {
  let { patch } = diff;
  while (jsonBytes({ ...diff, patch }) > JSON_MAX) patch = patch.slice(0, patch.length / 2);
  const omitted = (diff.omitted ?? 0) + diff.patch.length - patch.length;
  return { ...diff, patch: patch.replace(/[\ud800-\udbff]$/, ""), ...(omitted > 0 && { omitted }) };
}

/** A commit that fits into a frame of its own: control characters take six bytes of JSON each. */
function fitting(commit: Commit): Commit {
  let { message } = commit;
  for (let limit = 8 * 1024; jsonBytes({ ...commit, message }) > JSON_MAX; limit /= 2)
    message = cut(message, limit);
  return message === commit.message ? commit : { ...commit, message };
}

/** Runs of items whose JSON stays within the bound; an item never exceeds it by itself. */
function pieces<T>(items: readonly T[]): readonly (readonly T[])[] {
  const all: T[][] = [];
  let room = 0;
  for (const item of items) {
    const size = jsonBytes(item) + 1;
    room -= size;
    if (room < 0) {
      all.push([]);
      room = JSON_MAX - size;
    }
    all.at(-1)?.push(item);
  }
  return all;
}

const encoder = new TextEncoder();
const jsonBytes = (value: unknown): number => encoder.encode(JSON.stringify(value)).byteLength;
