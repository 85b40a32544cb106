import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { gunzip, isGzip } from "#workers/wire/gzip.ts";

const zipped = (bytes: Uint8Array): Uint8Array => new Uint8Array(gzipSync(bytes));
const words = Buffer.from("want and have ".repeat(2000));
const malformed = expect.objectContaining({ code: "malformed" });

test("gzip and nothing else is understood", () => {
  for (const coding of ["gzip", "x-gzip", " GZIP "])
    expect(isGzip(new Headers({ "content-encoding": coding }))).toBe(true);
  expect([isGzip(new Headers()), isGzip(new Headers({ "content-encoding": "identity" }))]).toEqual([
    false,
    false,
  ]);
  for (const coding of ["br", "deflate", "zstd", "gzip, gzip", ""]) {
    expect(() => isGzip(new Headers({ "content-encoding": coding }))).toThrow(malformed);
  }
});

test("what was zipped comes out, whole or as far as it goes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(100), (bytes, percent) => {
      const all = zipped(bytes);
      expect(Buffer.compare(gunzip(all, true, 10_000), bytes)).toBe(0);
      const part = gunzip(all.subarray(0, Math.floor((all.byteLength * percent) / 100)), false, 10_000);
      expect(Buffer.compare(part, bytes.subarray(0, part.byteLength))).toBe(0);
    }),
  );
});

test("a bomb is too large, long before it is all there", () => {
  const bomb = zipped(new Uint8Array(64 << 20));
  for (const ended of [true, false]) {
    expect(() => gunzip(bomb, ended, 1 << 20)).toThrow(expect.objectContaining({ code: "too_large" }));
  }
});

test("what servers read in different ways is refused", () => {
  const all = zipped(words);
  const flagged = all.slice();
  flagged[3] = 8;
  const wrongSum = all.slice();
  wrongSum[all.byteLength - 8] = (wrongSum[all.byteLength - 8] ?? 0) ^ 1;
  const two = Buffer.concat([all, all]);
  const trailing = Buffer.concat([all, Buffer.from("x")]);
  for (const bytes of [
    flagged,
    wrongSum,
    two,
    trailing,
    all.subarray(0, -1),
    all.subarray(0, 5),
    new Uint8Array(0),
    words,
  ]) {
    expect(() => gunzip(new Uint8Array(bytes), true, 1 << 20)).toThrow(malformed);
  }
});

test("any bytes are inflated or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (bytes, ended) => {
      try {
        gunzip(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, ...bytes), ended, 1000);
        return true;
      } catch (thrown) {
        return thrown instanceof Refusal;
      }
    }),
  );
});
