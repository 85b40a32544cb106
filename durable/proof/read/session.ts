/** Reads a session's frames and bodies in order, one segment of each sort in memory, and says what is wrong on the way. */
import { zstdDecompressSync } from "node:zlib";
import type { Frame } from "#durable/format/frame.ts";
import type { SegmentEntry } from "#durable/format/head.ts";
import { type Bytes, utf8 } from "../bytes.ts";
import { leafHash, Range } from "../merkle.ts";
import { Chunks } from "./chunks.ts";
import { readLine, splitLines } from "./line.ts";
import { declaredRange, describeAltered, openStored, type ReadSession } from "./segment.ts";

/** A frames segment is cut at 16 MiB of lines (EVIDENCE §2); what inflates to more than this is not one of ours. */
const RAW_MAX = 32 * 1024 * 1024;

export type ReadFrame = {
  readonly kind: "frame";
  /** Archive key of the segment it is in. */
  readonly object: string;
  readonly seq: number;
  /** Without its LF. */
  readonly line: Bytes;
  readonly leaf: Bytes;
  /** Milliseconds since 1970; undefined, like `frame`, when the line cannot be used. */
  readonly at: number | undefined;
  readonly frame: Frame | undefined;
  /** Body bytes of a data frame, where they were kept and are as their digest says. */
  readonly bytes: Uint8Array | undefined;
};
/** A segment that is missing or not as it was sealed: its leaves are known only by what the head says of them. */
export type Skipped = {
  readonly kind: "skipped";
  readonly object: string;
  readonly range: Range | undefined;
};
export type ReadItem = ReadFrame | Skipped;

export async function* readSession(session: ReadSession): AsyncGenerator<ReadItem> {
  const { folder, segments, report } = session;
  const chunks = new Chunks(session);
  for (const entry of segments.filter(({ name }) => name.startsWith("frames-"))) {
    const object = `${folder}${entry.name}`;
    const lines = await openFrames(session, object, entry);
    if (!lines) {
      chunks.skip();
      yield { kind: "skipped", object, range: declaredRange(entry) };
      continue;
    }
    const range = new Range(entry.firstFrame ?? 0);
    for (const [i, line] of lines.entries()) {
      const seq = (entry.firstFrame ?? 0) + i;
      const leaf = leafHash(line);
      range.push(leaf);
      const read = readLine(line, seq, (code, message) => report(code, object, message));
      if (!read) chunks.skip();
      const frame = read?.frame;
      const bytes = frame?.k === "data" ? await bodyBytes(frame, read?.salt ?? "", seq, chunks) : undefined;
      yield { kind: "frame", object, seq, line, leaf, at: read?.at, frame, bytes };
    }
    if (lines.length !== entry.frames)
      report(
        "segment_range",
        object,
        `holds ${lines.length} frames; the head says ${entry.frames ?? "nothing"}`,
      );
    else if (range.serialise().join() !== entry.range?.join())
      report("segment_range", object, "its frames do not have the hashes the head gives for them");
  }
  await chunks.finish();
}

async function bodyBytes(
  frame: Frame & { k: "data" },
  salt: string,
  seq: number,
  chunks: Chunks,
): Promise<Uint8Array | undefined> {
  if ("d" in frame) return utf8(frame.d);
  return "bytes" in frame ? chunks.read(frame.bytes, frame.sha256, salt, seq) : undefined;
}

async function openFrames(
  session: ReadSession,
  object: string,
  entry: SegmentEntry,
): Promise<Bytes[] | undefined> {
  const { report } = session;
  const stored = await openStored(session, entry);
  if (!stored) return undefined;
  const raw = inflate(stored);
  const lines = raw && splitLines(raw);
  const state = lines
    ? `holds ${lines.length} frames`
    : raw
      ? "does not end in a line"
      : "does not decompress";
  const altered = describeAltered(stored, entry);
  if (altered) {
    report(
      "segment_altered",
      object,
      `${altered}; it ${state}, the head says ${entry.frames ?? "nothing"} frames`,
    );
    return undefined;
  }
  if (!lines) report("segment_unreadable", object, `the segment ${state}`);
  return lines;
}

function inflate(stored: Bytes): Bytes | undefined {
  try {
    return new Uint8Array(zstdDecompressSync(stored, { maxOutputLength: RAW_MAX }));
  } catch {
    // Damage is an answer here: the caller reports it with the object's name.
    return undefined;
  }
}
