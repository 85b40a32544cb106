import fc from "fast-check";
import { expect, test } from "vitest";
import { mintSessionId } from "#durable/format/ids.ts";
import { entryKey, SEAL_PUB, sessionFolder } from "#durable/format/layout.ts";
import { isKey, isPrefix, KEY_MAX } from "#durable/store/key.ts";

test("everything the layout files is an archive key", () => {
  const session = mintSessionId(Date.UTC(2026, 10, 22), new Uint8Array(10));
  const folder = sessionFolder(session);
  const keys = [`${folder}frames-000000.ndjson.zst`, entryKey(0), SEAL_PUB, "log/checkpoint"];
  for (const key of [...keys, "log/tile/0/x001/067.p/5", "index/date=2026-11-22/part-0.parquet"]) {
    expect(isKey(key)).toBe(true);
  }
  expect(isPrefix(folder)).toBe(true);
});

test("a key is one normal path: it resolves to itself as a URL and never leaves its root", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."a.0_/-=+%~ \\?#"), maxLength: 12 }), (text) => {
      fc.pre(isKey(text));
      expect(new URL(text, "http://archive/keys/").pathname).toBe(`/keys/${text}`);
    }),
    { numRuns: 2_000 },
  );
});

test("every beginning of a key is a prefix", () => {
  const key = "sessions/2026/11/22/ses_0/seal.sigstore.json";
  for (let length = 0; length <= key.length; length++) expect(isPrefix(key.slice(0, length))).toBe(true);
});

test("a key longer than the limit is none", () => {
  const segments = (length: number) =>
    "a/"
      .repeat(Math.ceil(length / 2))
      .slice(0, length - 1)
      .concat("b");
  expect(isKey(segments(KEY_MAX - 1))).toBe(true);
  expect(isKey(`${segments(KEY_MAX - 1)}cd`)).toBe(false);
});
