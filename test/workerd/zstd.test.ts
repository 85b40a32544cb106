import { zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { compress } from "#durable/zstd.ts";

const BLOCK = 128 * 1024;

function random(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}
const hex = (length: number) =>
  new Uint8Array(new TextEncoder().encode(Buffer.from(random(length)).toString("hex")).subarray(0, length));
const zeros = (length: number) => new Uint8Array(length);

describe.each([
  ["bytes that do not compress", random],
  ["text that halves", hex],
  ["one byte over and over", zeros],
])("%s", (_, make) => {
  test.each([
    1,
    65_537,
    BLOCK - 1,
    BLOCK,
    BLOCK + 1,
    2 * BLOCK + 1,
    1_000_003,
    5_000_017,
    16 * 1024 * 1024 + 65_535,
  ])("come back whole from a segment of %i", async (length) => {
    const lines = make(length);
    const back = zstdDecompressSync(await compress(lines), { maxOutputLength: 32 * 1024 * 1024 });
    expect(Buffer.compare(back, lines)).toBe(0);
  });
});
