/** The heads of one session: that they count, name the session and its ledger, and that each extends the one before. */
import type { Head, SegmentEntry, Statement } from "#durable/format/head.ts";
import { bytesName, framesName } from "#durable/format/layout.ts";
import { fromBase64, toBase64 } from "../bytes.ts";
import type { Report } from "../finding.ts";
import { mergeRanges, type Range } from "../merkle.ts";
import { verifyConsistency } from "../proofs.ts";
import { declaredRange } from "../read/segment.ts";
import { segmentSubject } from "../statement.ts";

/** A head that could be read, and where it is stored. */
export type StoredHead = {
  readonly object: string;
  readonly statement: Statement;
  readonly trusted: boolean;
};

export const isTerminal = ({ status }: Head): boolean => status === "closed" || status === "truncated";

/** What one head says by itself. `session` is whose it should be; `origins` those of its logs, when they are known. */
export function checkHead(
  { object, statement }: StoredHead,
  session: string,
  origins: readonly string[],
  report: Report,
): void {
  const head = statement.predicate;
  if (head.session !== session)
    report("head_session", object, `a head of ${head.session} stands for ${session}`);
  const wanted = origins.map((origin) => `${origin}/${head.session}`);
  if (wanted.length > 0 && !wanted.includes(head.head.origin))
    report("head_origin", object, `made for ${head.head.origin}, not for ${wanted.join(" or ")}`);
  if ((head.n === 0) !== (head.status === "open"))
    report("head_sequence", object, `head ${head.n} of the session has status ${head.status}`);
  if ((head.n === 0) !== (head.previous === undefined))
    report(
      "head_previous",
      object,
      head.previous ? "the first head names a previous one" : "it does not name the head before it",
    );
  if (head.previous && !extendsPrevious(head))
    report("head_consistency", object, "its consistency proof does not hold");
  if (head.head.size === 0) report("head_segments", object, "a head of no frames");
  checkSegments(object, head, report);
  checkSubjects(object, statement, report);
}

/** Heads in ledger order. Each must count on, and be built on what the one before it said. */
export function checkChain(heads: readonly StoredHead[], folder: string, report: Report): void {
  let before: StoredHead | undefined;
  for (const stored of heads) {
    const { object, statement } = stored;
    const head = statement.predicate;
    const expected = before ? before.statement.predicate.n + 1 : 0;
    if (before && head.n < expected)
      report("entry_duplicate", object, `head ${head.n} of ${head.session} is in the ledger already`);
    else if (head.n > expected)
      report("entry_missing", folder, `no head ${expected} of ${head.session} is in the ledger`);
    if (before && isTerminal(before.statement.predicate))
      report("head_sequence", object, `it follows the terminal head of ${head.session}`);
    if (before?.trusted && stored.trusted && head.n === expected)
      checkBuiltOn(before.statement.predicate, stored, report);
    if (!before || head.n >= expected) before = stored;
  }
}

function checkBuiltOn(earlier: Head, { object, statement }: StoredHead, report: Report): void {
  const { previous, segments, head, encryption } = statement.predicate;
  if (previous && (previous.size !== earlier.head.size || previous.rootHash !== earlier.head.rootHash))
    report(
      "head_previous",
      object,
      `names a head of size ${previous.size}; the one before it has ${earlier.head.size}, or another root`,
    );
  if (JSON.stringify(encryption) !== JSON.stringify(earlier.encryption))
    report("head_segments", object, "encrypts its segments otherwise than the head before it");
  if (head.size < earlier.head.size)
    report("head_consistency", object, `shrinks from ${earlier.head.size} frames to ${head.size}`);
  const now = new Map(segments.map((segment) => [segment.name, JSON.stringify(segment)]));
  for (const segment of earlier.segments)
    if (now.get(segment.name) !== JSON.stringify(segment))
      report("head_segments", object, `${segment.name} is not as an earlier head has it`);
}

function extendsPrevious({ head, previous }: Head): boolean {
  const [old, root] = [fromBase64(previous?.rootHash ?? ""), fromBase64(head.rootHash)];
  const proof = (previous?.consistency ?? []).flatMap((hash) => fromBase64(hash) ?? []);
  if (!previous || !old || !root || proof.length !== previous.consistency.length) return false;
  return verifyConsistency(previous.size, head.size, old, root, proof);
}

/** Frames segments follow each other from frame 0; in a terminal head they are all there and make up the root. */
function checkSegments(object: string, head: Head, report: Report): void {
  const frames = head.segments.filter(({ name }) => name.startsWith("frames-"));
  const bytes = head.segments.filter(({ name }) => name.startsWith("bytes-"));
  const storing = head.encryption === "none" ? "clear" : "age";
  const ordered =
    frames.every(({ name }, i) => name === framesName(i, storing)) &&
    bytes.every(({ name }, i) => name === bytesName(i, storing));
  if (!ordered) report("head_segments", object, "its segments do not count from 0");
  const ranges = frames.map(readRange);
  let next = 0;
  for (const [i, { name, frames: count = 0, firstFrame }] of frames.entries()) {
    if (firstFrame !== next || count === 0 || !ranges[i])
      report("head_segments", object, `${name} does not say which frames it holds from frame ${next} on`);
    next += count;
  }
  if (next > head.head.size)
    report("head_segments", object, `its segments hold ${next} frames, it has ${head.head.size}`);
  if (!isTerminal(head)) return;
  const known = ranges.flatMap((range) => range ?? []);
  if (next < head.head.size)
    report("head_segments", object, `its segments hold ${next} frames, it has ${head.head.size}`);
  else if (known.length === ranges.length && ordered && !mergesTo(known, head.head.rootHash))
    report("head_root", object, "the hashes of its segments do not make its root");
}

const readRange = (entry: SegmentEntry): Range | undefined =>
  entry.range ? declaredRange(entry) : undefined;

function mergesTo(ranges: readonly Range[], root: string): boolean {
  const follows = ranges.every((range, i) => range.start === (ranges[i - 1]?.end ?? 0));
  return follows && toBase64(mergeRanges(ranges).root()) === root;
}

function checkSubjects(object: string, { subject, predicate }: Statement, report: Report): void {
  const wanted = new Set(
    predicate.segments.map((segment) => JSON.stringify(segmentSubject(predicate.session, segment))),
  );
  for (const entry of subject) {
    const isCommit =
      Object.keys(entry.digest).join() === "gitCommit" &&
      /^[0-9a-f]{40,64}$/.test(entry.digest["gitCommit"] ?? "");
    if (!wanted.delete(JSON.stringify(entry)) && !isCommit)
      report(
        "head_subjects",
        object,
        `the subject ${JSON.stringify(entry.name)} is neither one of its segments nor a commit`,
      );
  }
  if (wanted.size > 0)
    report("head_subjects", object, `${wanted.size} of its segments are not among its subjects`);
}
