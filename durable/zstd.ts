/** Compresses a segment's lines (EVIDENCE §2): long-distance matching, a window of 16 MiB, content checksum. */
import { constants, createZstdCompress, zstdDecompressSync } from "node:zlib";
import { type Bytes, concat, equal } from "#durable/proof/bytes.ts";

const PARAMS = {
  [constants.ZSTD_c_compressionLevel]: 3,
  [constants.ZSTD_c_windowLog]: 24,
  [constants.ZSTD_c_enableLongDistanceMatching]: 1,
  [constants.ZSTD_c_checksumFlag]: 1,
};
/** A zstd block (RFC 8878 §3.1.1.2.4), and room for what can be pending when the end comes. */
const PIECE = 128 * 1024;
const OUTPUT = 1024 * 1024;

/**
 * One zstd frame. In pieces, because workerd's zstd ends a frame with one call: what did not fit into its output is an
 * error or, worse, is dropped without one. So what comes out is also inflated and compared: this is the only copy later.
 */
export async function compress(lines: Bytes): Promise<Bytes> {
  const packed = await stream(lines);
  // The bound counts whole chunks of output there.
  const whole = zstdDecompressSync(packed, { maxOutputLength: lines.byteLength + OUTPUT });
  if (!equal(whole, lines)) throw new Error("the compressed segment is not its lines");
  return packed;
}

function stream(lines: Bytes): Promise<Bytes> {
  const { promise, resolve, reject } = Promise.withResolvers<Bytes>();
  const zstd = createZstdCompress({ params: PARAMS, chunkSize: OUTPUT });
  const parts: Uint8Array[] = [];
  zstd.on("data", (part: Uint8Array) => parts.push(part));
  zstd.once("end", () => resolve(concat(parts)));
  zstd.once("error", reject);
  for (let at = 0; at < lines.byteLength; at += PIECE) zstd.write(lines.subarray(at, at + PIECE));
  zstd.end();
  return promise;
}
