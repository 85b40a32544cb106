/** What the verifier asks of `node:zlib`, in a browser. Whatever does not inflate, or inflates to too much, throws. */
import { Decompress } from "fzstd";
import { Z_NO_FLUSH, Z_OK, Z_STREAM_END, ZStream, zlibInflate, zlibInflateInit2 } from "pako";

/** Windows of zlib's streams, and with 16 added, of gzip's. */
const ZLIB = 15;
const GZIP = 31;
const CHUNK = 65_536;
/** A zstd window of ours is 16 MiB; what asks for more than this is not one of ours. */
const WINDOW_MAX = 32 * 1024 * 1024;

type Limits = { readonly maxOutputLength?: number };

export class InflateFault extends Error {
  override readonly name = "InflateFault";
}

export function zstdDecompressSync(
  stored: Uint8Array,
  { maxOutputLength = 2 ** 31 }: Limits = {},
): Uint8Array {
  if (zstdWindow(stored) > Math.min(WINDOW_MAX, 2 ** 31)) throw new InflateFault("the window is too large");
  const parts: Uint8Array[] = [];
  let size = 0;
  let ended = false;
  const stream = new Decompress((part, final) => {
    size += part.byteLength;
    if (size > maxOutputLength) throw new InflateFault(`it holds more than ${maxOutputLength} bytes`);
    // The decoder goes on in its own memory.
    parts.push(part.slice());
    ended ||= final === true;
  });
  stream.push(stored, true);
  if (!ended) throw new InflateFault("the stream does not end");
  return join(parts, size);
}

/** RFC 8878 §3.1.1.1: the window of the first frame, or its whole size when it is one segment. */
function zstdWindow(stored: Uint8Array): number {
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  if (stored.byteLength < 14 || view.getUint32(0, true) !== 0xfd2fb528) return 0;
  const descriptor = view.getUint8(4);
  if ((descriptor & 0x20) === 0) {
    const window = view.getUint8(5);
    const base = 2 ** (10 + (window >> 3));
    return base + (base / 8) * (window & 7);
  }
  const at = 5 + ([0, 1, 2, 4][descriptor & 3] ?? 0);
  switch (descriptor >> 6) {
    case 0:
      return view.getUint8(at);
    case 1:
      return view.getUint16(at, true) + 256;
    case 2:
      return view.getUint32(at, true);
    default:
      return 2 ** 32;
  }
}

type Inflated = { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } };

/** With `info`, also how much of the input the stream took: what follows it is somebody else's. */
export function inflateSync(input: Uint8Array, limits: Limits & { readonly info: true }): Inflated;
export function inflateSync(input: Uint8Array, limits?: Limits): Uint8Array;
export function inflateSync(
  input: Uint8Array,
  { maxOutputLength, info }: Limits & { readonly info?: boolean } = {},
): Inflated | Uint8Array {
  const { bytes, taken } = inflate(input, ZLIB, maxOutputLength);
  return info ? { buffer: bytes, engine: { bytesWritten: taken } } : bytes;
}

/** All members of a gzip file, one after the other, as Node reads it. */
export function gunzipSync(input: Uint8Array, { maxOutputLength = 2 ** 31 }: Limits = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  let at = 0;
  do {
    const { bytes, taken } = inflate(input.subarray(at), GZIP, maxOutputLength - size);
    parts.push(bytes);
    size += bytes.byteLength;
    at += taken;
    // Node reads on only where another member begins.
  } while (input[at] === 0x1f);
  return join(parts, size);
}

function inflate(
  input: Uint8Array,
  window: number,
  most = 2 ** 31,
): { readonly bytes: Uint8Array; readonly taken: number } {
  const stream = new ZStream();
  stream.input = input;
  stream.avail_in = input.byteLength;
  zlibInflateInit2(stream, window);
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    stream.output = new Uint8Array(CHUNK);
    stream.next_out = 0;
    stream.avail_out = CHUNK;
    const status = zlibInflate(stream, Z_NO_FLUSH);
    const part = stream.output.subarray(0, stream.next_out);
    size += part.byteLength;
    if (size > most) throw new InflateFault(`it holds more than ${most} bytes`);
    parts.push(part);
    if (status === Z_STREAM_END) return { bytes: join(parts, size), taken: stream.next_in };
    if (status !== Z_OK || (part.byteLength === 0 && stream.avail_in === 0))
      throw new InflateFault(stream.msg || "the stream is damaged or cut");
  }
}

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
