import { decompress } from "fzstd";
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
const rest = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
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
    // Where outputs of 16 KiB and of 1 MiB are full just as the frame ends.
    ...[5, 8, 10, 16, 20, 24, 31, 32].map((blocks) => blocks * BLOCK),
    15 * BLOCK + 70_000,
    1_000_003,
    5_000_017,
    16 * 1024 * 1024 + 65_535,
  ])("come back whole from a segment of %i", async (length) => {
    const lines = make(length);
    // Not workerd's own, which takes some whole frames for cut ones.
    const back = decompress(await compress(lines, rest));
    expect(Buffer.compare(back, lines)).toBe(0);
  });
});

test("others have a turn between every two pieces, in and out", async () => {
  let turns = 0;
  const rest = async () => {
    turns += 1;
  };
  const packed = await compress(random(10 * BLOCK), rest);
  expect(turns).toBe(10 + Math.ceil(packed.byteLength / BLOCK));
});
