/** Whether an update keeps history, when the pushed pack alone does not prove it: the server's own commits do. */
import type { Commit } from "#durable/format/frame.ts";
import type { GitFetch, RefUpdate } from "#durable/format/operation.ts";
import type { ObjectFormat } from "../pack/bytes.ts";
import { readPack } from "../pack/pack.ts";
import { concat, DELIM, FLUSH, PacketReader, packet } from "../pkt-line.ts";
import { refUpdates } from "./ref-update.ts";

/** Commits of one boundary are looked at together; more roots than that come from no ordinary push. */
const WANTS_MAX = 64;

/** What to fetch so that a `force` may turn out to be an `update`: commits between `old` and what the pack builds on. */
export type AncestryQuery = { readonly update: RefUpdate; readonly wants: readonly string[] };

/** The first update that might still be a fast-forward, and is not among those already looked at. */
export function ancestryQuery(
  updates: readonly RefUpdate[],
  commits: readonly Commit[],
  looked: ReadonlySet<string>,
): AncestryQuery | undefined {
  const update = updates.find(
    ({ ref, change }) => change === "force" && !ref.startsWith("refs/tags/") && !looked.has(ref),
  );
  if (!update) return undefined;
  const wants = boundary(update.new, commits);
  return wants.length === 0 || wants.length > WANTS_MAX ? undefined : { update, wants };
}

/** Commits that the pushed history of `tip` builds on and the pack does not hold: the server has them, or refuses. */
function boundary(tip: string, commits: readonly Commit[]): readonly string[] {
  const known = new Map(commits.map((commit) => [commit.id, commit.parents]));
  const outside = new Set<string>();
  const seen = new Set([tip]);
  for (const id of seen) {
    const parents = known.get(id);
    if (parents) for (const parent of parents) seen.add(parent);
    else outside.add(id);
  }
  return [...outside];
}

/** A protocol v2 fetch of those commits alone: no trees, no blobs, nothing that `old` already has. */
export function ancestryRequest(
  { update, wants }: AncestryQuery,
  format: ObjectFormat,
): Uint8Array<ArrayBuffer> {
  return concat([
    packet("command=fetch\n"),
    packet("agent=steno\n"),
    packet(`object-format=${format}\n`),
    DELIM,
    packet("no-progress\n"),
    packet("ofs-delta\n"),
    packet("filter tree:0\n"),
    ...wants.map((id) => packet(`want ${id}\n`)),
    packet(`have ${update.old}\n`),
    packet("done\n"),
    FLUSH,
  ]);
}

export const ancestryFetch = (
  repository: string,
  { wants }: AncestryQuery,
  format: ObjectFormat,
): GitFetch => ({
  kind: "git.fetch",
  repository,
  version: 2,
  wants,
  wantRefs: [],
  haves: 1,
  filter: "tree:0",
  done: true,
  capabilities: ["agent=steno", `object-format=${format}`, "no-progress", "ofs-delta"],
});

/**
 * The update as the answer proves it. An ancestor `old` is a parent of some commit that is not reachable from it, so it
 * shows among the fetched commits; ids are hashes, so no answer can pretend. Anything unreadable proves nothing.
 */
export function settleUpdate(
  { update }: AncestryQuery,
  commits: readonly Commit[],
  answer: Uint8Array<ArrayBuffer> | undefined,
  format: ObjectFormat,
): RefUpdate {
  const fetched = answer ? commitsOf(answer, format) : [];
  return refUpdates([update], [...commits, ...fetched])[0] ?? update;
}

function commitsOf(answer: Uint8Array<ArrayBuffer>, format: ObjectFormat): readonly Commit[] {
  try {
    const packets = new PacketReader("upstream_protocol");
    packets.feed(answer);
    const pack: Uint8Array[] = [];
    let inPack = false;
    for (let next = packets.next(); next; next = packets.next()) {
      if (next.kind !== "data") continue;
      if (inPack && next.payload[0] === 1) pack.push(next.payload.subarray(1));
      else if (new TextDecoder().decode(next.payload.subarray(0, 9)) === "packfile\n") inPack = true;
    }
    return pack.length === 0 ? [] : readPack(concat(pack), true, format).commits;
  } catch {
    // An answer that is no pack proves nothing; the update stays what it was.
    return [];
  }
}
