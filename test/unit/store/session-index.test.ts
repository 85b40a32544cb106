/** The daily file of sealed sessions, read back by a Parquet reader that is not its writer. */
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { expect, test } from "vitest";
import type { Head } from "#durable/format/head.ts";
import { mintSessionId } from "#durable/format/ids.ts";
import { toHex } from "#durable/proof/bytes.ts";
import { dayOfHead, encodeIndex, indexRow } from "#durable/store/chores/session-index.ts";

const AT = Date.UTC(2026, 10, 22, 7);
const time = (ms: number): string => new Date(AT + ms).toISOString();
const HASH = `${"A".repeat(43)}=`;

function head(n: number, status: Head["status"] = "closed"): Head {
  const session = mintSessionId(AT + n, new Uint8Array(10).fill(n));
  return {
    session,
    status,
    n: 1,
    head: { origin: `log.example/${session}`, size: 9, rootHash: HASH },
    startedAt: time(n),
    madeAt: time(n + 2_000),
    endedAt: time(n + 1_000),
    reason: "request",
    principal: `hmac:${"a".repeat(64)}`,
    gateway: {
      build: { sha256: "0".repeat(64) },
      config: { sha256: "1".repeat(64) },
      policy: { sha256: "2".repeat(64) },
    },
    counts: { frames: 9, exchanges: 2, c2s: 5_000_000_000, s2c: n, denied: 1, gaps: 0 },
    segments: [
      { name: "frames-000000.ndjson.zst", sha256: "3".repeat(64), bytes: 100 },
      { name: "bytes-000000.bin", sha256: "4".repeat(64), bytes: 11 },
    ],
    encryption: "none",
    retention: { mode: "COMPLIANCE", days: 400 },
  };
}
const rows = (count: number) =>
  Array.from({ length: count }, (_, n) => indexRow(head(n), n * 2 + 1)).flatMap((row) => row ?? []);

test("what was written is what a reader finds, column by column", async () => {
  const bytes = encodeIndex(rows(3));
  const found = await parquetReadObjects({ file: bytes.buffer });
  expect(found).toHaveLength(3);
  expect(found[1]).toEqual({
    session: head(1).session,
    status: "closed",
    reason: "request",
    principal: `hmac:${"a".repeat(64)}`,
    policy: "2".repeat(64),
    retention: "COMPLIANCE",
    started_at: new Date(AT + 1),
    ended_at: new Date(AT + 1_001),
    frames: 9n,
    exchanges: 2n,
    c2s_bytes: 5_000_000_000n,
    s2c_bytes: 1n,
    stored_bytes: 111n,
    denied: 1n,
    gaps: 0n,
    retention_days: 400n,
    log_index: 3n,
  });
});

test("the same rows give the same bytes, and thousands are read back whole", async () => {
  const many = rows(5_000);
  const bytes = encodeIndex(many);
  expect(toHex(encodeIndex(many))).toBe(toHex(bytes));
  expect(parquetMetadata(bytes.buffer).num_rows).toBe(5_000n);
  const found = await parquetReadObjects({ file: bytes.buffer, columns: ["session"] });
  expect(found.map(({ session }) => session)).toEqual(many.map(({ session }) => session));
});

test("only a session's last head lists it, under the day it was made", () => {
  expect([indexRow(head(1, "open"), 0), indexRow(head(1, "progress"), 0)]).toEqual([undefined, undefined]);
  expect(indexRow(head(1, "truncated"), 7)).toMatchObject({ status: "truncated", log_index: 7 });
  expect(dayOfHead(head(1))).toBe("2026-11-22");
});
