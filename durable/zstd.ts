/** Compresses a segment's lines (EVIDENCE §2): long-distance matching, a window of 16 MiB, content checksum. */
import type { Duplex } from "node:stream";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import { type Bytes, concat, equal } from "#durable/proof/bytes.ts";

const PARAMS = {
  [constants.ZSTD_c_compressionLevel]: 3,
  [constants.ZSTD_c_windowLog]: 24,
  [constants.ZSTD_c_enableLongDistanceMatching]: 1,
  [constants.ZSTD_c_checksumFlag]: 1,
};
/** A zstd block (RFC 8878 §3.1.1.2.4). */
const PIECE = 128 * 1024;
/** More than the frame can be: blocks that do not compress are stored, each with a header of three bytes. */
const roomFor = (length: number): number => length + (length >> 7) + 64 * 1024;

/**
 * One zstd frame. `rest` lets others have the thread for a turn: a segment takes some 200 ms of it.
 *
 * Each direction has room for all that comes out: when the output is full just as the frame ends, workerd's zstd fails, or
 * drops what is left without a word. So what comes out is also inflated and compared: this is the only copy later.
 */
export async function compress(lines: Bytes, rest: () => Promise<void>): Promise<Bytes> {
  const chunkSize = roomFor(lines.byteLength);
  const parts: Uint8Array[] = [];
  await through(createZstdCompress({ params: PARAMS, chunkSize }), lines, rest, (part) => parts.push(part));
  const packed = concat(parts);
  let same = 0;
  await through(createZstdDecompress({ chunkSize }), packed, rest, (part) => {
    const until = same + part.byteLength;
    same = equal(part, lines.subarray(same, until)) ? until : Number.NaN;
  });
  if (same !== lines.byteLength) throw new Error("the compressed segment is not its lines");
  return packed;
}

async function through(
  zstd: Duplex,
  bytes: Bytes,
  rest: () => Promise<void>,
  take: (part: Uint8Array) => void,
): Promise<void> {
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  zstd.on("data", take);
  zstd.once("end", resolve);
  zstd.once("error", reject);
  // Nobody may be waiting for it at that moment; whoever does next hears of it.
  ended.catch(() => undefined);
  for (let at = 0; at < bytes.byteLength; at += PIECE) {
    const written = Promise.withResolvers<void>();
    zstd.write(bytes.subarray(at, at + PIECE), () => written.resolve());
    await Promise.race([written.promise, ended]);
    await rest();
  }
  zstd.end();
  await ended;
}
