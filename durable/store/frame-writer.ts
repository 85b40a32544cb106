/** Turns frames into numbered, salted, hashed lines, and body bytes into chunks of a bytes segment, one batch a turn. */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import type { Bodies } from "#durable/format/connection.ts";
import {
  type BodyEnd,
  type Direction,
  type Frame,
  frameLine,
  INLINE_MAX,
  LINE_MAX,
  saltText,
} from "#durable/format/frame.ts";
import type { ApprovalId, ExchangeId } from "#durable/format/ids.ts";
import { beginJoin, endJoin, type Join, joinFrame } from "#durable/format/join/join.ts";
import type { Target } from "#durable/format/tape.ts";
import { leafHash, type Range } from "#durable/proof/merkle.ts";
import { taint } from "./taint/taints.ts";

/** A frames segment holds at most this many bytes of lines with their LFs (EVIDENCE §2). */
export const FRAMES_MAX = 16 * 1024 * 1024;
/** A bytes segment holds at most this many bytes: a quarter of EVIDENCE §2's bound, since it is put as a whole (decision 007). */
export const BYTES_MAX = 16 * 1024 * 1024;
/** Text up to this fits into a line however it is escaped. */
const ESCAPED_MAX = 10 * 1024;
/** One row of a bytes segment, or of lines: SQLite takes values of at most 10 MB here. */
const CHUNK_MAX = 1024 * 1024;

/** What a session has counted so far, and which exchanges are under way. Stored with every batch. */
export type Tally = {
  frames: number;
  exchanges: number;
  denied: number;
  gaps: number;
  c2s: number;
  s2c: number;
  /** Bytes recorded per direction of each exchange whose response has not ended. */
  live: Record<
    string,
    {
      c2s: number;
      s2c: number;
      ended: readonly Direction[];
      responded?: true;
      spooled?: Target;
      /** Where it goes once it is approved; how many events of its approval are recorded. */
      held?: Target & { approval?: ApprovalId; seen: number; over?: true };
    }
  >;
  bytesSegment: number;
  bytesSize: number;
  framesSegment: number;
  framesSize: number;
  /** When the first line of the current frames segment, or chunk of the current bytes segment, was written; ms. */
  framesSince: number;
  bytesSince: number;
  /** Milliseconds since 1970. */
  at: number;
  /** The run of the recorder that wrote it: live exchanges of an earlier run were cut by its end. */
  epoch: string;
  /** The policy set of the newest decision. */
  policy?: string;
  /** What has happened in the session, sorted; absent while nothing has. */
  taints?: readonly string[];
  /** Absent in a session that began before there was one. */
  join?: Join;
};

export const emptyTally = (epoch: string): Tally => ({
  frames: 0,
  exchanges: 0,
  denied: 0,
  gaps: 0,
  c2s: 0,
  s2c: 0,
  live: {},
  bytesSegment: 0,
  bytesSize: 0,
  framesSegment: 0,
  framesSize: 0,
  framesSince: 0,
  bytesSince: 0,
  at: 0,
  epoch,
});

export type Lines = {
  readonly segment: number;
  readonly first: number;
  readonly frames: number;
  readonly lines: Uint8Array;
  readonly leaves: Uint8Array;
};
export type Chunk = { readonly segment: number; readonly offset: number; readonly bytes: Uint8Array };
/** A piece of a spooled body: its place in a bytes segment, or its bytes where bodies are not kept. */
export type SpooledPiece = {
  readonly off: number;
  readonly length: number;
  readonly place?: readonly [segment: number, at: number];
  readonly bytes?: Uint8Array;
};
export type Batch = {
  readonly lines: readonly Lines[];
  readonly chunks: readonly Chunk[];
  readonly tally: string;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class FrameWriter {
  readonly tally: Tally;
  readonly range: Range;
  readonly #now: () => number;
  readonly #random: (length: number) => Uint8Array;
  /** Whose decision comes next, when it follows its request at once. */
  #asked: { readonly x: ExchangeId; readonly connection: string } | undefined;
  #salts: Uint8Array = new Uint8Array(0);
  #lines: { segment: number; first: number; parts: Uint8Array[]; leaves: Uint8Array[]; size: number }[] = [];
  #chunks: Chunk[] = [];

  /** Continues from what is stored: its tally, and the tree over its leaves. */
  constructor(tally: Tally, range: Range, now: () => number, random: (length: number) => Uint8Array) {
    this.tally = tally;
    this.range = range;
    this.#now = now;
    this.#random = random;
  }

  /** Writes a metadata frame and returns its index. Throws RangeError when its line would be too long. */
  write(frame: Frame): number {
    if (frame.k === "request") this.#asked = { x: frame.x, connection: frame.connection };
    taint(this.tally, frame, (x) =>
      x === this.#asked?.x ? this.#asked.connection : this.tally.live[x]?.spooled?.connection,
    );
    const seq = this.#write(frame, this.#salt());
    if (frame.k === "session.start") this.tally.join = beginJoin(frame);
    else if (this.tally.join)
      for (const joined of joinFrame(this.tally.join, frame)) this.#write(joined, this.#salt());
    return seq;
  }

  /** Writes what is left of the join, before the last frame. */
  endJoin(): void {
    if (this.tally.join) for (const joined of endJoin(this.tally.join)) this.#write(joined, this.#salt());
  }

  /**
   * Writes body bytes as they passed, and with the last of them how the body ended, where that is known.
   * `bytes` is kept until the batch is taken, and must not change.
   */
  data(x: ExchangeId, dir: Direction, off: number, bytes: Uint8Array, bodies: Bodies, end?: BodyEnd): void {
    if (bytes.byteLength === 0) {
      if (end) this.end(x, dir, off, end);
      return;
    }
    this.tally[dir] += bytes.byteLength;
    if (bodies === "digest") {
      this.#digest(x, dir, off, bytes, end);
      return;
    }
    // Of a long one only whether it is text is asked, which is told of a pack by its first bytes: it is decoded in pieces.
    const long = bytes.byteLength > INLINE_MAX;
    const text = long ? (isUtf8(bytes) ? "" : undefined) : decode(bytes);
    if (text !== undefined && this.#inline(x, dir, off, bytes, text, end)) return;
    for (let at = 0; at < bytes.byteLength; at += CHUNK_MAX) {
      const last = at + CHUNK_MAX >= bytes.byteLength;
      this.#raw(x, dir, off + at, bytes.subarray(at, at + CHUNK_MAX), last ? end : undefined);
    }
  }

  /** Writes request bytes that are read again before they leave, and says where each piece of them lies. */
  spool(x: ExchangeId, off: number, bytes: Uint8Array, bodies: Bodies): readonly SpooledPiece[] {
    this.tally.c2s += bytes.byteLength;
    const pieces: SpooledPiece[] = [];
    for (let at = 0; at < bytes.byteLength; at += CHUNK_MAX) {
      const piece = bytes.subarray(at, at + CHUNK_MAX);
      const { byteLength: length } = piece;
      if (bodies === "digest") this.#digest(x, "c2s", off + at, piece);
      const kept = bodies === "digest" ? { bytes: piece } : { place: this.#raw(x, "c2s", off + at, piece) };
      pieces.push({ off: off + at, length, ...kept });
    }
    return pieces;
  }

  end(x: ExchangeId, dir: Direction, off: number, end: BodyEnd): void {
    this.write({ k: "data", x, dir, off, end });
  }

  get pending(): boolean {
    return this.#lines.length > 0;
  }

  /** Whether what is pending is one run of lines up to `limit` bytes, without chunks. */
  isSmall(limit: number): boolean {
    const [only, ...more] = this.#lines;
    return only !== undefined && more.length === 0 && this.#chunks.length === 0 && only.size <= limit;
  }

  /** Closes the current segments: what is written next begins new ones. */
  cut(what: "frames" | "bytes"): void {
    if (what === "frames" && this.tally.framesSize > 0) {
      this.tally.framesSegment += 1;
      this.tally.framesSize = 0;
    }
    if (what === "bytes" && this.tally.bytesSize > 0) {
      this.tally.bytesSegment += 1;
      this.tally.bytesSize = 0;
    }
  }

  /** Hands over everything written since the last call. The caller makes it durable, all of it or nothing. */
  take(): Batch {
    const lines = this.#lines.map(({ segment, first, parts, leaves, size }) => ({
      segment,
      first,
      frames: leaves.length,
      lines: join(parts, size),
      leaves: join(leaves, leaves.length * 32),
    }));
    const batch = { lines, chunks: this.#chunks, tally: JSON.stringify(this.tally) };
    this.#lines = [];
    this.#chunks = [];
    return batch;
  }

  #inline(
    x: ExchangeId,
    dir: Direction,
    off: number,
    bytes: Uint8Array,
    text: string,
    end?: BodyEnd,
  ): boolean {
    if (bytes.byteLength <= INLINE_MAX) {
      // JSON of a character takes at most six bytes a byte of text: short texts need no measuring.
      if (bytes.byteLength > ESCAPED_MAX && lineBytes(text) > LINE_MAX - 1024) return false;
      this.write({ k: "data", x, dir, off, d: text, ...(end && { end }) });
      return true;
    }
    for (let start = 0; start < bytes.byteLength; ) {
      const until = characterEnd(bytes, Math.min(start + INLINE_MAX, bytes.byteLength));
      const piece = bytes.subarray(start, until);
      const words = decoder.decode(piece);
      const last = until === bytes.byteLength ? end : undefined;
      if (lineBytes(words) > LINE_MAX - 1024) this.#raw(x, dir, off + start, piece, last);
      else this.write({ k: "data", x, dir, off: off + start, d: words, ...(last && { end: last }) });
      start = until;
    }
    return true;
  }

  /** A data frame that has length and digest but no bytes. */
  #digest(x: ExchangeId, dir: Direction, off: number, bytes: Uint8Array, end?: BodyEnd): void {
    const salt = this.#salt();
    const sha256 = saltedDigest(salt, bytes);
    this.#write({ k: "data", x, dir, off, len: bytes.byteLength, sha256, ...(end && { end }) }, salt);
  }

  #raw(
    x: ExchangeId,
    dir: Direction,
    off: number,
    bytes: Uint8Array,
    end?: BodyEnd,
  ): readonly [segment: number, at: number] {
    if (this.tally.bytesSize + bytes.byteLength > BYTES_MAX) this.cut("bytes");
    if (this.tally.bytesSize === 0) this.tally.bytesSince = this.#now();
    const { bytesSegment: segment, bytesSize: offset } = this.tally;
    const salt = this.#salt();
    const sha256 = saltedDigest(salt, bytes);
    this.#chunks.push({ segment, offset, bytes });
    this.tally.bytesSize += bytes.byteLength;
    const place = [segment, offset, bytes.byteLength] as const;
    this.#write({ k: "data", x, dir, off, bytes: place, sha256, ...(end && { end }) }, salt);
    return [segment, offset];
  }

  #write(frame: Frame, salt: Uint8Array): number {
    const seq = this.tally.frames;
    const line = encoder.encode(`${frameLine(seq, this.#now(), saltText(salt), frame)}\n`);
    if (line.byteLength - 1 > LINE_MAX)
      throw new RangeError(`a ${frame.k} frame of ${line.byteLength} bytes`);
    if (this.tally.framesSize + line.byteLength > FRAMES_MAX) this.cut("frames");
    if (this.tally.framesSize === 0) this.tally.framesSince = this.#now();
    const leaf = leafHash(line.subarray(0, line.byteLength - 1));
    this.range.push(leaf);
    this.tally.frames += 1;
    this.tally.framesSize += line.byteLength;
    this.tally.at = this.#now();
    let open = this.#lines.at(-1);
    if (open?.segment !== this.tally.framesSegment || open.size + line.byteLength > CHUNK_MAX) {
      open = { segment: this.tally.framesSegment, first: seq, parts: [], leaves: [], size: 0 };
      this.#lines.push(open);
    }
    open.parts.push(line);
    open.leaves.push(leaf);
    open.size += line.byteLength;
    return seq;
  }

  #salt(): Uint8Array {
    if (this.#salts.byteLength < 16) this.#salts = this.#random(2048);
    const salt = this.#salts.subarray(0, 16);
    this.#salts = this.#salts.subarray(16);
    return salt;
  }
}

/** SHA-256(salt || bytes), lower-case hex: what a data frame says of bytes that are not in its line (EVIDENCE §1). */
export function saltedDigest(salt: Uint8Array, bytes: Uint8Array): string {
  return createHash("sha256").update(salt).update(bytes).digest("hex");
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    // Not UTF-8: such bytes go to a bytes segment, which is an answer, not a failure.
    return undefined;
  }
}

/** The largest end ≤ `end` that does not cut a UTF-8 character of valid text. */
function characterEnd(bytes: Uint8Array, end: number): number {
  let at = end;
  while (at < bytes.byteLength && ((bytes[at] ?? 0) & 0xc0) === 0x80) at -= 1;
  return at;
}

const lineBytes = (text: string): number => encoder.encode(JSON.stringify(text)).byteLength;

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only) return only;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
