/** Request bodies under Content-Encoding: gzip (RFC 9110 §8.4.1.3), inflated within a bound to be read; what goes upstream stays as sent. */
import { constants, crc32, inflateRawSync } from "node:zlib";
import { Refusal } from "#durable/format/refusal.ts";

const HEADER = 10;
const TRAILER = 8;

/** What node:zlib returns with `info: true`; its types know only the buffer. */
type Inflated = { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } };

/** Whether a body is gzip; any coding but gzip and identity is refused, because nothing behind it could be read. */
export function isGzip(headers: Headers): boolean {
  const coding = (headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  if (coding === "gzip" || coding === "x-gzip") return true;
  if (coding === "identity") return false;
  throw new Refusal("malformed", "The request's content encoding is not gzip.");
}

/**
 * Inflates one gzip member (RFC 1952) to at most `limit` bytes. With `ended`, `bytes` is all of it and its length and
 * checksum must hold; else it may be cut anywhere and what can be read is returned. Refuses optional header fields and
 * anything after the member: servers differ in what they make of those.
 */
export function gunzip(bytes: Uint8Array, ended: boolean, limit: number): Uint8Array<ArrayBuffer> {
  if (!ended && bytes.byteLength <= HEADER) return new Uint8Array(0);
  const [id1, id2, method, flags] = bytes;
  if (bytes.byteLength < HEADER || id1 !== 0x1f || id2 !== 0x8b || method !== 8 || flags !== 0) {
    throw new Refusal("malformed", "The request's body is not plain gzip.");
  }
  const { buffer, engine } = inflate(bytes.subarray(HEADER), ended, limit);
  const plain = new Uint8Array(buffer);
  const end = HEADER + engine.bytesWritten;
  if (!ended && end + TRAILER > bytes.byteLength) return plain;
  const trailer = new DataView(bytes.buffer, bytes.byteOffset + end, bytes.byteLength - end);
  const sound =
    trailer.byteLength === TRAILER &&
    trailer.getUint32(0, true) === crc32(plain) &&
    trailer.getUint32(4, true) === plain.byteLength % 2 ** 32;
  if (!sound) throw new Refusal("malformed", "The request's gzip body does not end as it says.");
  return plain;
}

function inflate(bytes: Uint8Array, ended: boolean, limit: number): Inflated {
  const finishFlush = ended ? constants.Z_FINISH : constants.Z_SYNC_FLUSH;
  try {
    return inflateRawSync(bytes, { info: true, finishFlush, maxOutputLength: limit }) as unknown as Inflated;
  } catch (cause) {
    throw refused(cause);
  }
}

/** node:zlib throws a RangeError for output over the bound, in Node and in workerd. */
const refused = (cause: unknown) =>
  cause instanceof RangeError
    ? new Refusal("too_large", "The request's gzip body is too large when inflated.", { cause })
    : new Refusal("malformed", "The request's gzip body cannot be inflated.", { cause });
