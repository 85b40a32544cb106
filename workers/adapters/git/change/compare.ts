/** What changed between two trees, as `git diff --raw --no-renames -r` has it. */
import type { ChangedPath } from "#durable/format/frame.ts";
import { broken } from "../pack/bytes.ts";
import { folded, type Oddity } from "./path-name.ts";
import { isTree, type TreeEntry } from "./tree.ts";

/** Trees by id; undefined when neither the push nor anything that is known has it. */
export type Trees = (id: string) => Promise<ReadonlyMap<string, TreeEntry> | undefined>;

/** Deeper and longer paths than any checkout could hold. */
const DEPTH_MAX = 512;
const LENGTH_MAX = 4_096;
const NO_MODE = "000000";

export class Comparison {
  readonly #trees: Trees;
  readonly #idLength: number;
  readonly #most: number;
  readonly changes: ChangedPath[] = [];
  /** Trees that could not be had. */
  readonly missing = new Set<string>();
  /** Whether there was more than is kept. */
  truncated = false;

  constructor(trees: Trees, idLength: number, most: number) {
    this.#trees = trees;
    this.#idLength = idLength;
    this.#most = most;
  }

  /** `oldId` and `nextId` are ids of trees, or undefined for nothing. */
  async compare(
    oldId: string | undefined,
    nextId: string | undefined,
    prefix = "",
    depth = 0,
  ): Promise<void> {
    if (oldId === nextId || this.truncated) return;
    if (depth > DEPTH_MAX) throw broken(`a path is more than ${DEPTH_MAX} folders deep`);
    const [before, after] = [await this.#read(oldId), await this.#read(nextId)];
    if (!before || !after) return;
    let clashes: ReadonlySet<string> | undefined;
    for (const { key, place } of differing(before, after)) {
      const [was, is] = [before.get(key), after.get(key)];
      const inTree = place !== key;
      const [old, next] = [was, is].map((entry) => (entry && isTree(entry) === inTree ? entry : undefined));
      if (!old && !next) continue;
      const path = `${prefix}${(is ?? was)?.name}`;
      if (path.length > LENGTH_MAX) throw broken(`a path is more than ${LENGTH_MAX} letters long`);
      if (inTree) await this.compare(old?.id, next?.id, `${path}/`, depth + 1);
      else {
        clashes ??= clashing(after);
        this.#keep(path, old, next, clashes.has(key));
      }
    }
  }

  #keep(path: string, was: TreeEntry | undefined, is: TreeEntry | undefined, clash: boolean): void {
    if (this.changes.length >= this.#most) {
      this.truncated = true;
      return;
    }
    const zero = "0".repeat(2 * this.#idLength);
    const odd: Oddity[] = [...((is ?? was)?.odd ?? []), ...(clash ? ["case" as const] : [])];
    this.changes.push({
      status: statusOf(was, is),
      path,
      modes: [was?.mode ?? NO_MODE, is?.mode ?? NO_MODE],
      ids: [was?.id ?? zero, is?.id ?? zero],
      ...(odd.length > 0 && { odd }),
    });
  }

  async #read(id: string | undefined): Promise<ReadonlyMap<string, TreeEntry> | undefined> {
    if (id === undefined) return new Map();
    const tree = await this.#trees(id);
    if (!tree) this.missing.add(id);
    return tree;
  }
}

/** As `git diff` has it: a file that became a link, or a submodule, is of another type. */
function statusOf(was: TreeEntry | undefined, is: TreeEntry | undefined): ChangedPath["status"] {
  if (!was) return "A";
  if (!is) return "D";
  return was.mode.slice(0, 3) === is.mode.slice(0, 3) ? "M" : "T";
}

/** Keys of entries whose names are the same where case does not count. */
function clashing(entries: ReadonlyMap<string, TreeEntry>): ReadonlySet<string> {
  // Nearly always: as many names as there are when case counts.
  if (new Set([...entries.values()].map(({ name }) => folded(name))).size === entries.size) return new Set();
  const first = new Map<string, string>();
  const clashes = new Set<string>();
  for (const { name, key } of entries.values()) {
    const fold = folded(name);
    const other = first.get(fold);
    if (other === undefined) first.set(fold, key);
    else clashes.add(other).add(key);
  }
  return clashes;
}

/** Names that are not the same in both, in git's order: what is a tree stands as if it ended in a slash. */
function differing(
  before: ReadonlyMap<string, TreeEntry>,
  after: ReadonlyMap<string, TreeEntry>,
): readonly { readonly key: string; readonly place: string }[] {
  const all = new Map<string, string>();
  const add = (entry: TreeEntry) => all.set(isTree(entry) ? `${entry.key}/` : entry.key, entry.key);
  for (const entry of after.values()) {
    const was = before.get(entry.key);
    if (was?.id === entry.id && was.mode === entry.mode) continue;
    add(entry);
    if (was) add(was);
  }
  for (const entry of before.values()) if (!after.has(entry.key)) add(entry);
  return [...all].map(([place, key]) => ({ key, place })).sort((a, b) => (a.place < b.place ? -1 : 1));
}
