/** One frames segment by itself: that it is the object its head lists, its lines with their leaves, what each line says. */
import type { SegmentEntry } from "#durable/format/head.ts";
import type { Bytes } from "../bytes.ts";
import type { Report } from "../finding.ts";
import type { Range } from "../merkle.ts";
import { inflateZstd } from "../native.ts";
import { type HashedLine, type ReadLine, readLine, splitLines } from "./line.ts";
import { describeAltered, openStored, type Stored } from "./segment.ts";
import { inClear } from "./unsealed.ts";

/** A frames segment is cut at 16 MiB of lines (EVIDENCE §2); what inflates to more than this is not one of ours. */
const RAW_MAX = 32 * 1024 * 1024;

export const framesSegments = (segments: readonly SegmentEntry[]): SegmentEntry[] =>
  segments.filter(({ name }) => name.startsWith("frames-"));

/** Undefined after saying why it cannot be read, or is not what was sealed. */
export async function openFrames(session: Stored, entry: SegmentEntry): Promise<HashedLine[] | undefined> {
  const { report, folder } = session;
  const object = `${folder}${entry.name}`;
  const stored = await openStored(session, entry);
  if (!stored) return undefined;
  const altered = describeAltered(stored, entry);
  const plain = await inClear(entry, stored, session.unsealed);
  if (typeof plain !== "object") {
    if (altered) report("segment_altered", object, altered);
    else if (plain !== undefined) report("segment_unreadable", object, plain);
    return undefined;
  }
  const raw = inflate(plain);
  const lines = raw && splitLines(raw);
  const state = lines
    ? `holds ${lines.length} frames`
    : raw
      ? "does not end in a line"
      : "does not decompress";
  if (altered) {
    const said = entry.frames ?? "nothing";
    report("segment_altered", object, `${altered}; it ${state}, the head says ${said} frames`);
    return undefined;
  }
  if (!lines) report("segment_unreadable", object, `the segment ${state}`);
  return lines;
}

export type SegmentLine = HashedLine & {
  readonly seq: number;
  /** Undefined when nothing of the line can be used; that was said. */
  readonly read: ReadLine | undefined;
};

export function* readFrames(
  object: string,
  { firstFrame = 0 }: SegmentEntry,
  lines: readonly HashedLine[],
  report: Report,
): Generator<SegmentLine> {
  for (const [i, { line, leaf }] of lines.entries()) {
    const seq = firstFrame + i;
    const read = readLine(line, seq, (code, message) => report(code, object, message));
    yield { seq, line, leaf, read };
  }
}

/** That the segment holds the frames its head says, with the hashes it gives for them. `found` is over its own lines. */
export function checkRange(object: string, entry: SegmentEntry, found: Range, report: Report): void {
  const { frames, range } = entry;
  if (found.size !== frames)
    report("segment_range", object, `holds ${found.size} frames; the head says ${frames ?? "nothing"}`);
  else if (found.serialise().join() !== range?.join())
    report("segment_range", object, "its frames do not have the hashes the head gives for them");
}

function inflate(stored: Bytes): Bytes | undefined {
  try {
    return inflateZstd(stored, RAW_MAX);
  } catch {
    // Damage is an answer here: the caller reports it with the object's name.
    return undefined;
  }
}
