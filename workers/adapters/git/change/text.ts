/** Text diffs of changed files, within bounds: what a reader of the record sees without the repository. */
import { structuredPatch } from "diff";
import type { ChangedPath, Changes, TextDiff } from "#durable/format/frame.ts";
import { hide } from "#workers/mask/hide.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import type { Bytes } from "../pack/bytes.ts";
import type { KnownObjects } from "./known-objects.ts";

/** Files larger than this, on either side, are not compared line by line. */
export const FILE_MAX = 256 * 1024;
/** Letters of one diff, and of all diffs of a push. */
const DIFF_MAX = 16 * 1024;
const ALL_MAX = 256 * 1024;
/** Lines by which two versions may differ before looking for the shortest way between them is given up. */
const EDITS_MAX = 2_000;
/** Files of a push that are looked into, and old versions that the server is asked for. */
const FILES_MAX = 64;
const CONTEXT = 3;
const SUBMODULE = "160000";

type Candidate = { readonly ref: string; readonly change: ChangedPath };

/** The changed files of refs that a diff can be made of, as many as are looked into. */
function candidates(changes: readonly Changes[], objects: KnownObjects): readonly Candidate[] {
  return changes
    .flatMap(({ ref, paths }) => (ref === undefined ? [] : paths.map((change) => ({ ref, change }))))
    .filter(({ change: { status, modes, ids } }) => {
      const size = objects.sizeInPack(ids[1]);
      return status !== "D" && !modes.includes(SUBMODULE) && size !== undefined && size <= FILE_MAX;
    })
    .slice(0, FILES_MAX);
}

/** Old versions that diffs need and nobody has yet. */
export async function oldFiles(
  changes: readonly Changes[],
  objects: KnownObjects,
): Promise<readonly string[]> {
  const missing = new Set<string>();
  for (const { change } of candidates(changes, objects)) {
    const [old] = change.ids;
    if (change.status !== "A" && !(await objects.get("blob", old))) missing.add(old);
  }
  return [...missing];
}

/** Diffs of what is known on both sides and is text, without what `hidden` finds in either. */
export async function textDiffs(
  changes: readonly Changes[],
  objects: KnownObjects,
  hidden?: Rules,
): Promise<readonly TextDiff[]> {
  const diffs: TextDiff[] = [];
  let room = ALL_MAX;
  for (const { ref, change } of candidates(changes, objects)) {
    const { path, status, ids } = change;
    const old = status === "A" ? new Uint8Array(0) : await objects.get("blob", ids[0]);
    const next = await objects.get("blob", ids[1]);
    const patch = old && next && patchOf(old, next, hidden);
    if (patch === undefined || patch === "") continue;
    const most = Math.min(DIFF_MAX, room);
    if (most <= 0) break;
    const text = patch.slice(0, most).replace(/[\ud800-\udbff]$/, "");
    diffs.push({
      ref,
      path,
      ids,
      patch: text,
      ...(text.length < patch.length && { omitted: patch.length - text.length }),
    });
    room -= text.length;
  }
  return diffs;
}

/** Hunks as `git diff` writes them, from `@@` on; undefined for what is no text, or differs by too much. */
function patchOf(old: Bytes, next: Bytes, hidden: Rules | undefined): string | undefined {
  const [before, after] = [textOf(old), textOf(next)];
  if (before === undefined || after === undefined) return undefined;
  const patch = structuredPatch("", "", before, after, "", "", {
    context: CONTEXT,
    maxEditLength: EDITS_MAX,
  });
  const show = hidden && shown(before, after, hidden);
  return patch?.hunks
    .map((hunk) => {
      const { oldStart, oldLines, newStart, newLines } = hunk;
      const lines = show ? show(hunk) : hunk.lines;
      // Of no lines, git names the line before.
      const range = (start: number, length: number) =>
        length === 1 ? `${start}` : `${length === 0 ? start - 1 : start},${length}`;
      return [`@@ -${range(oldStart, oldLines)} +${range(newStart, newLines)} @@`, ...lines].join("\n");
    })
    .join("\n");
}

type Hunk = { readonly oldStart: number; readonly newStart: number; readonly lines: readonly string[] };

/** Lines of a hunk as they are when what is hidden is hidden in the whole file: it may begin above, and end below. */
function shown(before: string, after: string, rules: Rules): ((hunk: Hunk) => readonly string[]) | undefined {
  const [old, next] = [hide(before, rules), hide(after, rules)];
  if (old === before && next === after) return undefined;
  const [were, are] = [old.split("\n"), next.split("\n")];
  return ({ oldStart, newStart, lines }) => {
    let [o, n] = [oldStart - 1, newStart - 1];
    return lines.map((line) => {
      const [mark] = line;
      if (mark === "-") return `-${were[o++]}`;
      if (mark === "+") return `+${are[n++]}`;
      if (mark !== " ") return line;
      o += 1;
      return ` ${are[n++]}`;
    });
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** As git tells text from bytes, and UTF-8 besides: a frame holds nothing else. */
function textOf(bytes: Bytes): string | undefined {
  if (bytes.byteLength > FILE_MAX || bytes.includes(0)) return undefined;
  try {
    return utf8.decode(bytes);
  } catch {
    // Another encoding: the bytes are in the recorded pack.
    return undefined;
  }
}
