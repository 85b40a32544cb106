/** What a push does to each ref: names that git accepts, and whether history is kept. */
import type { Commit } from "#durable/format/frame.ts";
import type { RefUpdate } from "#durable/format/operation.ts";

export type Command = Pick<RefUpdate, "ref" | "old" | "new">;

const ZERO = /^0+$/;

/** Long enough for every ref of a real repository; a longer name is no use but to overflow something. */
const NAME_MAX = 1024;

/**
 * What git-receive-pack accepts: below `refs/`, and the rest as git-check-ref-format(1) has it. A ref that is deleted
 * may have one level only (`refs/stash`).
 */
export function isRefName(name: string, deletes: boolean): boolean {
  if (!name.startsWith("refs/") || new TextEncoder().encode(name).byteLength > NAME_MAX) return false;
  const parts = name.slice("refs/".length).split("/");
  if (parts.length < 2 && (!deletes || parts[0] === "@")) return false;
  if (parts.some((part) => part === "" || part.startsWith(".") || part.endsWith(".lock"))) return false;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: git forbids them in names
  return !/\.\.|@\{|[\u0000- \u007f~^:?*[\\]|\.$/.test(name);
}

export const isZero = (id: string): boolean => ZERO.test(id);

/**
 * The commands with what each does. `update` only when the commits that came along prove by their hashes that `old` is
 * an ancestor of `new`; all else is `force`: a tag that moves, history that is dropped, and also a fast-forward over
 * commits the server already had, which only the server could prove. Fails closed.
 */
export function refUpdates(commands: readonly Command[], commits: readonly Commit[]): readonly RefUpdate[] {
  const parents = new Map(commits.map((commit) => [commit.id, commit.parents]));
  // Many refs may ask for the same walk, and each walk may visit every commit: more than this is not proven.
  const budget = { steps: 1_000_000 };
  return commands.map((command) => ({ ...command, change: changeOf(command, parents, budget) }));
}

type Parents = ReadonlyMap<string, readonly string[]>;

function changeOf(
  { ref, old, new: next }: Command,
  parents: Parents,
  budget: { steps: number },
): RefUpdate["change"] {
  if (isZero(old)) return "create";
  if (isZero(next)) return "delete";
  if (ref.startsWith("refs/tags/")) return "force";
  return isAncestor(old, next, parents, budget) ? "update" : "force";
}

function isAncestor(old: string, next: string, parents: Parents, budget: { steps: number }): boolean {
  const seen = new Set([next]);
  const waiting = [next];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (id === old) return true;
    for (const parent of parents.get(id) ?? []) {
      if (budget.steps-- <= 0) return false;
      if (!seen.has(parent)) waiting.push(parent);
      seen.add(parent);
    }
  }
  return false;
}
