/** A request body of which a bounded prefix may have been read. */
import type { SessionId } from "#durable/format/ids.ts";
import { bodyStalled, inTime } from "./in-time.ts";
import { pieces } from "./pieces.ts";

export type Body =
  | { readonly kind: "none" }
  /** All of it: it ended within what was read. */
  | { readonly kind: "whole"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** `prefix`, then `rest`. `length` is the whole length when the sender gave one. */
  | {
      readonly kind: "stream";
      readonly prefix: Uint8Array<ArrayBuffer>;
      readonly rest: ReadableStream<Uint8Array>;
      readonly length: number | undefined;
    }
  /** In the record of a session, all of it, or all that was read before a flaw was found: `rest` is what still comes then. */
  | {
      readonly kind: "spooled";
      readonly session: SessionId;
      readonly length: number;
      readonly sha256: string;
      readonly rest: () => AsyncIterable<Uint8Array>;
    };

/** A body as it was read off a request. */
export type Peeked = Exclude<Body, { readonly kind: "spooled" }>;

/** What is set aside at first: a sender that only claims a long body costs no more than this. */
const FIRST = 16 * 1024;
/** What one read may bring. */
const ROOM = 64 * 1024;

/**
 * Reads a body until `enough` says so, the body ends, or `limit` bytes are held. `enough` sees all bytes so far.
 * Returns a body that still yields every byte; a body of exactly its declared length comes back whole.
 * Refuses one that sends nothing for `stallSeconds`.
 * Holds at most `limit` and one chunk. Owns the stream: nobody else may read `request.body` afterwards.
 */
export async function peek(
  request: Request,
  limit: number,
  stallSeconds: number,
  enough: (bytes: Uint8Array<ArrayBuffer>) => boolean,
): Promise<Peeked> {
  const { body } = request;
  if (!body) return { kind: "none" };
  const length = declaredLength(request.headers);
  let held = new Uint8Array(FIRST);
  let size = 0;
  const { reader, next } = reading(body, stallSeconds, length);
  try {
    for (;;) {
      const value = await next();
      if (!value) return { kind: "whole", bytes: trimmed(held, size) };
      held = append(held, size, value);
      size += value.byteLength;
      // All that was promised is here: one more read shows the end, so the body counts as whole.
      if (length !== undefined && size === length) continue;
      if (size >= limit || enough(held.subarray(0, size))) break;
    }
  } catch (cause) {
    // Nobody is to wait for the rest of it again.
    void reader.cancel(cause).catch(() => undefined);
    throw cause;
  } finally {
    reader.releaseLock();
  }
  return { kind: "stream", prefix: trimmed(held, size), rest: body, length };
}

/** The network's streams fill a buffer that they are given, and bring 4 KiB at a time to who gives none; others have no such reader. */
function reading(body: ReadableStream<Uint8Array>, seconds: number, length: number | undefined) {
  const within = <T>(read: Promise<T>) => inTime(read, seconds, bodyStalled);
  try {
    const reader = body.getReader({ mode: "byob" });
    const first = length === undefined ? FIRST : length + 1;
    return { reader, next: pieces(reader, within, Math.min(first, ROOM)) };
  } catch {
    const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
    return { reader, next: async () => (await within(reader.read())).value };
  }
}

/** What is sent to another isolate takes its whole buffer along: one that is mostly room is not worth that. */
const trimmed = (held: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> =>
  size * 4 < held.byteLength * 3 ? held.slice(0, size) : held.subarray(0, size);

function append(held: Uint8Array<ArrayBuffer>, size: number, more: Uint8Array): Uint8Array<ArrayBuffer> {
  const needed = size + more.byteLength;
  if (needed <= held.byteLength) {
    held.set(more, size);
    return held;
  }
  const grown = new Uint8Array(Math.max(held.byteLength * 2, needed));
  grown.set(held.subarray(0, size));
  grown.set(more, size);
  return grown;
}

function declaredLength(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
