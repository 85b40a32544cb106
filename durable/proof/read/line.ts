/** One line of a frames segment: its exact prefix, its place, its JSON. */
import { type Frame, LINE_MAX, readPrefix } from "#durable/format/frame.ts";
import { type Bytes, indexOfByte, readUtf8, sha256 } from "../bytes.ts";
import type { FindingCode } from "../finding.ts";
import { leafHash } from "../merkle.ts";
import { isKnownKind, shapeFrame } from "./shape.ts";

export type ReadLine = {
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** 16 bytes in base64, as in the line. */
  readonly salt: string;
  readonly frame: Frame | undefined;
};

const LF = 0x0a;

type Wrong = (code: FindingCode, message: string) => void;

/** Reads line `seq`. What is wrong is said; undefined when nothing of it can be used. */
export function readLine(bytes: Uint8Array, seq: number, wrong: Wrong): ReadLine | undefined {
  if (bytes.byteLength > LINE_MAX) wrong("frame_size", `frame ${seq} is a line of ${bytes.byteLength} bytes`);
  const text = readUtf8(bytes);
  if (text === undefined) {
    wrong("frame_encoding", `frame ${seq} is not UTF-8`);
    return undefined;
  }
  const prefix = readPrefix(text);
  const at = prefix ? Date.parse(prefix.t) : Number.NaN;
  if (!prefix || Number.isNaN(at)) {
    wrong("frame_prefix", `frame ${seq} does not begin with the prefix of EVIDENCE §1`);
    return undefined;
  }
  if (prefix.seq !== seq) wrong("frame_sequence", `frame ${seq} says it is frame ${prefix.seq}`);
  const json = parse(text);
  if (!json) {
    wrong("frame_shape", `frame ${seq} is not a JSON object`);
    return undefined;
  }
  // A member given twice would let the prefix say one thing and readers of JSON another.
  if (json["v"] !== 1 || json["seq"] !== prefix.seq || json["t"] !== prefix.t || json["salt"] !== prefix.salt)
    wrong("frame_prefix", `frame ${seq} repeats a member of its prefix with another value`);
  const shaped = shapeFrame(json);
  if ("wrong" in shaped) wrong("frame_shape", `frame ${seq}: ${shaped.wrong}`);
  if ("kind" in shaped && !isKnownKind(shaped.kind))
    wrong("frame_kind", `frame ${seq} is of unknown kind ${JSON.stringify(shaped.kind)}`);
  return { seq, at, salt: prefix.salt, frame: "frame" in shaped ? shaped.frame : undefined };
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    // The caller reports it; the parser's words would quote the body.
    return undefined;
  }
}

/** A line without its LF, and its leaf. */
export type HashedLine = { readonly line: Bytes; readonly leaf: Bytes };

/**
 * The lines of a segment; undefined when it is empty or does not end in an LF. `raw` is used up: each LF becomes the 0x00
 * that a leaf begins with, so that no line is copied to be hashed.
 */
export function splitLines(raw: Bytes): HashedLine[] | undefined {
  if (raw.at(-1) !== LF) return undefined;
  const lines: HashedLine[] = [];
  for (let at = 0; at < raw.byteLength; ) {
    const end = indexOfByte(raw, LF, at);
    const line = raw.subarray(at, end);
    if (at > 0) raw[at - 1] = 0;
    lines.push({ line, leaf: at > 0 ? sha256(raw.subarray(at - 1, end)) : leafHash(line) });
    at = end + 1;
  }
  return lines;
}
