/** Where body bytes go: into the frames when they are text, which compress together, or into a bytes segment. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { ExchangeId } from "#durable/format/ids.ts";
import { Range } from "#durable/proof/merkle.ts";
import { emptyTally, FrameWriter } from "#durable/store/frame-writer.ts";

const X = "exc_01JD0000000000000000000000" as ExchangeId;

function written(bytes: Uint8Array): { readonly inline: string; readonly chunks: number } {
  const writer = new FrameWriter(
    emptyTally("run"),
    new Range(),
    () => 0,
    (length) => randomBytes(length),
  );
  writer.data(X, "c2s", 0, bytes, "full", "complete");
  const { lines, chunks } = writer.take();
  const frames = lines
    .flatMap((each) => Buffer.from(each.lines).toString().trimEnd().split("\n"))
    .map((line) => JSON.parse(line) as { d?: string; off: number; end?: string });
  expect(frames.at(-1)?.end).toBe("complete");
  return {
    inline: frames.map(({ d }) => d ?? "").join(""),
    chunks: chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0),
  };
}

test("text lies in the frames, however large the piece in which it came", () => {
  for (const length of [1, 40_000, 300_000, 3_000_000]) {
    const text = "ünd so weiter, and on ".repeat(Math.ceil(length / 22)).slice(0, length);
    expect(written(Buffer.from(text))).toEqual({ inline: text, chunks: 0 });
  }
});

test("what is not text lies in a bytes segment, all of it", () => {
  for (const length of [10, 40_000, 3_000_000]) {
    const bytes = Buffer.alloc(length, "text");
    bytes[length - 1] = 0xff;
    expect(written(bytes)).toEqual({ inline: "", chunks: length });
  }
});
