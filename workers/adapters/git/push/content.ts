/** All that a pushed pack brings: its commits, and the rest of it as far as it is asked for. */
import type { Commit, PackSummary } from "#durable/format/frame.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import type { ObjectFormat } from "../pack/bytes.ts";
import { readCommit } from "../pack/commit.ts";
import { COMMITS_MAX } from "../pack/pack.ts";
import { BOUNDS, type PackSource, readWholePack, type Settled, type WholePack } from "../pack/whole-pack.ts";
import { ContentScan, type ScannedContent } from "./content-scan.ts";

/** Bytes of commits that are held; a session's last head names every commit of its pushes. */
const COMMITS_SIZE_MAX = 32 * 1024 * 1024;

export type PushContent = {
  readonly summary: PackSummary;
  readonly commits: readonly Commit[];
  /** Absent when only a beginning was read. */
  readonly pack?: WholePack;
  /** What the detectors found in it. */
  readonly scanned?: ScannedContent;
};

/** Reads a whole pack, looks for what `rules` say, and keeps `textMax` bytes of text. Throws `Refusal`. */
export async function readContent(
  source: PackSource,
  format: ObjectFormat,
  rules: Rules | undefined,
  textMax = 0,
): Promise<PushContent> {
  const scan = rules && new ContentScan(rules, textMax);
  const commits = new Map<string, Commit>();
  let held = 0;
  let blobs = 0;
  let largest = 0;
  let bytes = 0;
  const see = (object: Settled): void => {
    const { kind, id, size, content } = object;
    scan?.see(object);
    bytes += size;
    if (kind === "blob") {
      blobs += 1;
      largest = Math.max(largest, size);
    }
    if (kind !== "commit" || !content || commits.has(id)) return;
    held += size;
    if (commits.size >= COMMITS_MAX || held > COMMITS_SIZE_MAX) throw tooMany();
    commits.set(id, readCommit(id, content));
  };
  const pack = await readWholePack(source, format, see, BOUNDS, (piece) => scan?.through(piece));
  const { version, table } = pack;
  const counts = { commits: commits.size, blobs, bytes, largest };
  const summary = { version, objects: table.count, scanned: "all", unread: [], ...counts } as const;
  return { summary, commits: [...commits.values()], pack, ...(scan && { scanned: scan }) };
}

const tooMany = () =>
  new Refusal(
    "too_large",
    `The push has more than ${COMMITS_MAX} commits, or ${COMMITS_SIZE_MAX} bytes of them: push it in parts.`,
  );
