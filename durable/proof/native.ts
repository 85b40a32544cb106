/** Hashing and decompression: the one file of the proofs, but for text and base64, that asks the runtime for anything. */
import { createHash, hash } from "node:crypto";
import { gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";

type Bytes = Uint8Array<ArrayBuffer>;

/** Output is put together from pieces of so many bytes: of a segment there are sixteen, not a thousand. */
const PIECE = 1024 * 1024;

/** SHA-256 over the parts as if they were one. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  const [only] = parts;
  if (parts.length === 1 && only) return digestOf("sha256", only);
  const parted = createHash("sha256");
  for (const part of parts) parted.update(part);
  return new Uint8Array(parted.digest());
}

export function digestOf(algorithm: "sha1" | "sha256", bytes: Uint8Array): Bytes {
  // One call in place of three: a leaf is hashed for every line of a recording.
  const { buffer, byteOffset, byteLength } = hash(algorithm, bytes, "buffer") as Bytes;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A zstd frame. Throws on damage, and on more than `max` bytes; so do the others. */
export const inflateZstd = (bytes: Uint8Array, max: number): Bytes =>
  asBytes(zstdDecompressSync(bytes, { maxOutputLength: max, chunkSize: PIECE }));

export const inflateGzip = (bytes: Uint8Array, max: number): Bytes =>
  asBytes(gunzipSync(bytes, { maxOutputLength: max }));

/** What the zlib stream at the beginning of `bytes` holds, `size` bytes or perhaps one more, and how many of them it takes. */
export function inflateObject(
  bytes: Uint8Array,
  size: number,
): { readonly content: Bytes; readonly read: number } {
  const chunkSize = Math.min(Math.max(size + 64, 64), 65_536);
  // `info` gives the engine, whose bytesWritten says where the stream ended in the input.
  const options = { info: true, maxOutputLength: size + 1, chunkSize };
  // The types of node:zlib do not know what `info` makes of the answer.
  const { buffer, engine } = inflateSync(bytes, options) as unknown as {
    buffer: Uint8Array;
    engine: { bytesWritten: number };
  };
  return { content: asBytes(buffer), read: engine.bytesWritten };
}

const asBytes = ({ buffer, byteOffset, byteLength }: Uint8Array): Bytes =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
