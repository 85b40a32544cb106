/** Reads a session's frames and bodies in order, one segment of each sort in memory, and says what is wrong on the way. */
import type { Frame } from "#durable/format/frame.ts";
import { type Bytes, utf8 } from "../bytes.ts";
import { type Range, rangeFrom } from "../merkle.ts";
import { Chunks } from "./chunks.ts";
import { checkRange, framesSegments, openFrames, readFrames } from "./frames.ts";
import { declaredRange, type ReadSession } from "./segment.ts";

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
  for (const entry of framesSegments(segments)) {
    const object = `${folder}${entry.name}`;
    const lines = await openFrames(session, entry);
    if (!lines) {
      chunks.skip();
      yield { kind: "skipped", object, range: declaredRange(entry) };
      continue;
    }
    for (const { seq, line, leaf, read } of readFrames(object, entry, lines, report)) {
      if (!read) chunks.skip();
      const frame = read?.frame;
      const bytes = frame?.k === "data" ? await bodyBytes(frame, read?.salt ?? "", seq, chunks) : undefined;
      yield { kind: "frame", object, seq, line, leaf, at: read?.at, frame, bytes };
    }
    const leaves = lines.map(({ leaf }) => leaf);
    checkRange(object, entry, rangeFrom(entry.firstFrame ?? 0, leaves), report);
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
