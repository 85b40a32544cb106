/** What a push changes: for each ref against what it pointed to, and for each new commit against its parents. */
import type { ChangedPath, Changes, Commit } from "#durable/format/frame.ts";
import type { RefUpdate } from "#durable/format/operation.ts";
import { isZero } from "../history/ref-update.ts";
import { idLengthOf, type ObjectFormat } from "../pack/bytes.ts";
import { Comparison } from "./compare.ts";
import type { KnownObjects } from "./known-objects.ts";
import { readTree, type TreeEntry } from "./tree.ts";

/** Changed paths that are kept of one comparison, trees that are read for one push, and bytes that are had again for it. */
const PATHS_MAX = 100_000;
const READS_MAX = 200_000;
const LOOKS_MAX = 20_000;
/** Trees that are kept as they were read. */
const PARSED_MAX = 256;
/** Tags of tags of tags. */
const PEELS_MAX = 8;

export type Compared = {
  readonly changes: readonly Changes[];
  /** Objects without which the comparison is not whole: the server may have them. */
  readonly missing: readonly string[];
  /** Whether more changed than is kept, or than is compared. */
  readonly truncated: boolean;
};

type Base = { readonly old: string | undefined; readonly tip: string };

export async function compareAll(
  updates: readonly RefUpdate[],
  commits: readonly Commit[],
  objects: KnownObjects,
  format: ObjectFormat,
): Promise<Compared> {
  return new Push(updates, commits, objects, format).compare();
}

class Push {
  readonly #updates: readonly RefUpdate[];
  readonly #commits: ReadonlyMap<string, Commit>;
  readonly #objects: KnownObjects;
  readonly #format: ObjectFormat;
  readonly #missing = new Set<string>();
  readonly #changes: Changes[] = [];
  readonly #touched = new Set<string>();
  #truncated = false;
  #reads = 0;
  readonly #parsed = new Map<string, ReadonlyMap<string, TreeEntry>>();
  readonly #looksBefore: number;

  constructor(
    updates: readonly RefUpdate[],
    commits: readonly Commit[],
    objects: KnownObjects,
    format: ObjectFormat,
  ) {
    this.#updates = updates;
    this.#commits = new Map(commits.map((commit) => [commit.id, commit]));
    this.#objects = objects;
    this.#looksBefore = objects.looks();
    this.#format = format;
  }

  async compare(): Promise<Compared> {
    const direct = new Set<string>();
    for (const update of this.#updates) {
      if (update.change === "delete") continue;
      const base = await this.#baseOf(update);
      if (!base) continue;
      const { old, tip } = base;
      const paths = await this.#between(old, tip);
      if (!paths) continue;
      this.#keep({ ref: update.ref, base: old ?? null, paths });
      direct.add(`${old ?? ""} ${tip}`);
    }
    // From the back of the pack, where what was read last is still at hand.
    for (const commit of [...this.#commits.values()].reverse()) {
      const [first] = commit.parents;
      if (commit.parents.length < 2 && direct.has(`${first ?? ""} ${commit.id}`)) continue;
      await this.#within(commit);
    }
    const missing = [...this.#missing];
    return { changes: this.#changes, missing, truncated: this.#truncated };
  }

  /** Paths that a commit changes and that do not show in what its ref's update comes to: added and taken back in between. */
  async #within(commit: Commit): Promise<void> {
    const [first, ...others] = commit.parents;
    let paths = await this.#between(first, commit.id);
    // What a merge takes from one side as it is there was decided when that side came.
    for (const parent of others) {
      const other = paths && paths.length > 0 ? await this.#between(parent, commit.id) : [];
      const differing = new Set(other?.map(({ path }) => path));
      paths = other && paths?.filter(({ path }) => differing.has(path));
    }
    const passing = paths?.filter(({ path, ids }) => !this.#touched.has(`${path} ${ids[1]}`)) ?? [];
    if (passing.length > 0) this.#keep({ commit: commit.id, base: first ?? null, paths: passing });
  }

  #keep(changes: Changes): void {
    this.#changes.push(changes);
    for (const { path, ids } of changes.paths) this.#touched.add(`${path} ${ids[1]}`);
    if (this.#touched.size > PATHS_MAX) this.#truncated = true;
  }

  /** With what an update is compared: what the ref pointed to; of a new one, the newest commit the server has of its line. */
  async #baseOf({ old, new: next }: RefUpdate): Promise<Base | undefined> {
    const tip = await this.#peel(next);
    if (tip === undefined) return undefined;
    if (!isZero(old)) {
      const was = await this.#peel(old);
      return was === undefined ? undefined : { old: was, tip };
    }
    let base: string | undefined = tip;
    for (let at = this.#commits.get(tip); at; at = base === undefined ? undefined : this.#commits.get(base))
      base = at.parents[0];
    return { old: base, tip };
  }

  /** The commit or tree that a tag points to in the end; the object itself when it is no tag. */
  async #peel(id: string): Promise<string | undefined> {
    for (let peels = 0; peels < PEELS_MAX; peels++) {
      const tag = await this.#objects.get("tag", id);
      if (!tag) break;
      const target = /^object ([0-9a-f]+)\n/.exec(new TextDecoder().decode(tag.subarray(0, 100)))?.[1];
      if (target === undefined) return undefined;
      id = target;
    }
    return id;
  }

  /** Undefined when one of the two is not known, or has no tree. */
  async #between(old: string | undefined, next: string): Promise<readonly ChangedPath[] | undefined> {
    if (old === next) return [];
    const before = old === undefined ? undefined : await this.#treeOf(old);
    const after = await this.#treeOf(next);
    if (after === undefined || (old !== undefined && before === undefined)) return undefined;
    const trees = async (id: string) => {
      this.#reads += 1;
      if (this.#reads > READS_MAX || this.#objects.looks() - this.#looksBefore > LOOKS_MAX) {
        this.#truncated = true;
        return undefined;
      }
      return this.#tree(id);
    };
    const comparison = new Comparison(trees, idLengthOf(this.#format), PATHS_MAX);
    await comparison.compare(before, after);
    if (!this.#truncated) for (const id of comparison.missing) this.#missing.add(id);
    this.#truncated ||= comparison.truncated;
    return comparison.changes.map((change) => this.#sized(change));
  }

  /** A commit's trees are its successor's old ones: each is read once, when the successor comes next. */
  async #tree(id: string): Promise<ReadonlyMap<string, TreeEntry> | undefined> {
    const known = this.#parsed.get(id);
    if (known) return known;
    const content = await this.#objects.get("tree", id);
    const tree = content && readTree(content, idLengthOf(this.#format));
    if (tree) this.#parsed.set(id, tree);
    const [oldest] = this.#parsed.keys();
    if (this.#parsed.size > PARSED_MAX && oldest !== undefined) this.#parsed.delete(oldest);
    return tree;
  }

  #sized(change: ChangedPath): ChangedPath {
    const size = this.#objects.sizeInPack(change.ids[1]);
    return size === undefined ? change : { ...change, size };
  }

  async #treeOf(id: string): Promise<string | undefined> {
    const known = this.#commits.get(id);
    if (known) {
      // The next push is compared with what this one brings, so its tip is worth remembering.
      if (this.#updates.some((update) => update.new === id)) await this.#objects.get("commit", id);
      return known.tree;
    }
    const commit = await this.#objects.get("commit", id);
    if (commit) return /^tree ([0-9a-f]+)\n/.exec(new TextDecoder().decode(commit.subarray(0, 80)))?.[1];
    // A ref may point to a tree, or a file.
    if (await this.#objects.get("tree", id)) return id;
    if (this.#objects.kindInPack(id) !== "blob") this.#missing.add(id);
    return undefined;
  }
}
