/** Writes what was planned. Interrupted anywhere, the record knows what may have been written. */
import { dirname } from "node:path";
import type { Disk } from "./disk.ts";
import type { Setup } from "./plan.ts";
import { named, placed, recordText, type SetupRecord } from "./record.ts";

export type Done = { readonly path: string; readonly state: "written" | "removed" | "unchanged" };

export function applySetup(
  { root, changes, record, meanwhile, afterwards }: Setup,
  disk: Disk,
): readonly Done[] {
  const waiting = changes.filter(({ before, after }) => before !== after);
  const directories = new Set(meanwhile.directories);
  const textOf = (one: SetupRecord): string => recordText({ ...one, directories: [...directories] });
  let recorded = record.before;
  const say = (text: string): void => {
    if (text !== recorded) disk.replace(record.path, text, recorded, 0o644);
    recorded = text;
  };
  if (afterwards || recorded !== undefined) {
    const wanted = waiting.flatMap(({ path, after }) => (after === undefined ? [] : [dirname(path)]));
    const making = [...new Set([dirname(record.path), ...wanted].flatMap((path) => missing(path, disk)))];
    for (const path of making) directories.add(named(root, path));
    for (const path of missing(dirname(record.path), disk)) disk.makeDirectory(path);
    if (waiting.length > 0) say(textOf(meanwhile));
    for (const path of making) if (!disk.exists(path)) disk.makeDirectory(path);
  }
  for (const { path, before, after, mode } of waiting) {
    if (after !== undefined) disk.replace(path, after, before, mode);
    else if (before !== undefined) disk.remove(path, before);
  }
  if (afterwards) say(textOf(afterwards));
  else {
    if (recorded !== undefined) disk.remove(record.path, recorded);
    for (const path of [...directories].toReversed()) disk.removeDirectory(placed(root, path));
  }
  return changes.map(({ path, before, after }) => {
    if (before === after) return { path, state: "unchanged" };
    return { path, state: after === undefined ? "removed" : "written" };
  });
}

/** Directories that are not there yet, outermost first. */
function missing(path: string, disk: Disk): string[] {
  const found: string[] = [];
  for (let at = path; !disk.exists(at); at = dirname(at)) found.unshift(at);
  return found;
}
