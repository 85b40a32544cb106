/** The sessions that were sealed on a day, as Parquet: for looking things up, never for proving. No names in it. */
import { parquetWriteBuffer } from "hyparquet-writer/src/write.js";
import type { Head } from "#durable/format/head.ts";
import type { Bytes } from "#durable/proof/bytes.ts";

/** One session, as its last head has it. */
export type IndexRow = {
  readonly session: string;
  readonly status: string;
  readonly started_at: string;
  readonly ended_at: string;
  readonly reason: string;
  readonly principal: string;
  readonly frames: number;
  readonly exchanges: number;
  readonly c2s_bytes: number;
  readonly s2c_bytes: number;
  readonly stored_bytes: number;
  readonly denied: number;
  readonly gaps: number;
  readonly policy: string;
  readonly retention: string;
  readonly retention_days: number;
  readonly log_index: number;
};

/** Undefined for a head that is not a session's last. `index` is its place in the log. */
export function indexRow(head: Head, index: number): IndexRow | undefined {
  if (head.status !== "closed" && head.status !== "truncated") return undefined;
  const { counts, retention } = head;
  return {
    session: head.session,
    status: head.status,
    started_at: head.startedAt,
    ended_at: head.endedAt ?? head.madeAt,
    reason: head.reason ?? "",
    principal: head.principal,
    frames: counts.frames,
    exchanges: counts.exchanges,
    c2s_bytes: counts.c2s,
    s2c_bytes: counts.s2c,
    stored_bytes: head.segments.reduce((sum, { bytes }) => sum + bytes, 0),
    denied: counts.denied,
    gaps: counts.gaps,
    policy: head.gateway.policy?.sha256 ?? "",
    retention: retention.mode,
    retention_days: retention.days,
    log_index: index,
  };
}

/** Of a last head: the UTC day it was made, `yyyy-mm-dd`, under which its session is listed. */
export const dayOfHead = (head: Head): string => head.madeAt.slice(0, 10);

const TEXTS = ["session", "status", "reason", "principal", "policy", "retention"] as const;
const TIMES = ["started_at", "ended_at"] as const;
const COUNTS = [
  "frames",
  "exchanges",
  "c2s_bytes",
  "s2c_bytes",
  "stored_bytes",
  "denied",
  "gaps",
  "retention_days",
  "log_index",
] as const;

/** The same rows give the same bytes. */
export function encodeIndex(rows: readonly IndexRow[]): Bytes {
  const column = <K extends keyof IndexRow, T>(name: K, of: (value: IndexRow[K]) => T) =>
    rows.map((row) => of(row[name]));
  const columnData = [
    ...TEXTS.map((name) => ({ name, data: column(name, String), type: "STRING" as const })),
    ...TIMES.map((name) => ({
      name,
      data: column(name, (at) => new Date(at)),
      type: "TIMESTAMP" as const,
    })),
    ...COUNTS.map((name) => ({ name, data: column(name, BigInt), type: "INT64" as const })),
  ];
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}
