/** The SQL of one session: every statement, typed by its row, with what it is for. */

import type { Envelope } from "#durable/proof/age/stream.ts";
import { concat } from "#durable/proof/bytes.ts";
import type { Batch, Chunk, Lines, SpooledPiece } from "./frame-writer.ts";

/** One of a session's stored objects, from its cut to its purge. */
export type SegmentRow = {
  readonly kind: "frames" | "bytes";
  readonly n: number;
  readonly first: number;
  readonly frames: number;
  /** Of the object as stored; empty until it has been made. */
  readonly sha256: string;
  readonly bytes: number;
  readonly stored: 0 | 1;
  /** Of a frames segment that was packed: its serialised compact range, as JSON. Rows of before have none. */
  readonly range: string | null;
};
export type HeadRow = {
  readonly n: number;
  readonly size: number;
  readonly root: string;
  readonly bundle: string;
  readonly entry: number | null;
  /** The compact range over its frames, serialised, as JSON: the next head goes on from it. Rows of before have none. */
  readonly range: string | null;
};

export const SESSION_MIGRATIONS: readonly string[] = [
  `CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE tape(first INTEGER PRIMARY KEY, segment INTEGER NOT NULL, frames INTEGER NOT NULL, lines BLOB NOT NULL, leaves BLOB NOT NULL);
   CREATE TABLE chunk(segment INTEGER NOT NULL, off INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY(segment, off));
   CREATE TABLE segment(kind TEXT NOT NULL, n INTEGER NOT NULL, first INTEGER NOT NULL, frames INTEGER NOT NULL,
     sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, stored INTEGER NOT NULL, leaves BLOB, PRIMARY KEY(kind, n));
   CREATE TABLE packed(n INTEGER NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY(n, part));
   CREATE TABLE head(n INTEGER PRIMARY KEY, size INTEGER NOT NULL, root TEXT NOT NULL, bundle TEXT NOT NULL, entry INTEGER);
   CREATE TABLE pushed(oid TEXT PRIMARY KEY) WITHOUT ROWID;`,
  `CREATE TABLE spooled(x TEXT NOT NULL, off INTEGER NOT NULL, length INTEGER NOT NULL, segment INTEGER, at INTEGER, bytes BLOB,
     PRIMARY KEY(x, off));
   CREATE INDEX spooled_place ON spooled(segment, at);`,
  "ALTER TABLE segment ADD COLUMN range TEXT; ALTER TABLE head ADD COLUMN range TEXT;",
  "CREATE TABLE envelope(n INTEGER PRIMARY KEY, header BLOB NOT NULL, file_key BLOB NOT NULL, nonce BLOB NOT NULL)",
];

/** A SQLite value is at most 10 MB here; packed objects are kept in parts well below it. */
const PART = 1024 * 1024;

export type SessionRows = ReturnType<typeof sessionRows>;

export function sessionRows(sql: SqlStorage) {
  const all = <T>(query: string, ...args: SqlStorageValue[]): T[] =>
    sql.exec(query, ...args).toArray() as T[];
  return {
    /** Small facts of the session: its opening, its tally, its end. */
    fact<T>(name: string): T | undefined {
      const [row] = all<{ value: string }>("SELECT value FROM fact WHERE name = ?", name);
      return row && (JSON.parse(row.value) as T);
    },
    setFact: (name: string, value: unknown): void => {
      sql.exec("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, JSON.stringify(value));
    },
    /** One turn's batch. The caller runs it inside one transaction, with `setTally` of the last. */
    addBatch({ lines, chunks }: Pick<Batch, "lines" | "chunks">): void {
      for (const row of lines) addLines(sql, row);
      for (const row of chunks) addChunk(sql, row);
    },
    /** What was counted, and the compact range, after all batches; every statement has a price of its own. */
    setTally(tally: string, range: readonly string[]): void {
      sql.exec("INSERT OR REPLACE INTO fact VALUES ('tally', ?), ('range', ?)", tally, JSON.stringify(range));
    },
    /** Leaves from frame `from` on, in order, back to back: purged segments keep theirs. */
    leavesFrom(from: number): Uint8Array {
      const rows = all<{ first: number; leaves: ArrayBuffer }>(
        `SELECT first, leaves FROM (SELECT first, leaves FROM segment WHERE kind = 'frames' AND leaves IS NOT NULL
         UNION ALL SELECT first, leaves FROM tape WHERE segment NOT IN (SELECT n FROM segment WHERE kind = 'frames' AND leaves IS NOT NULL))
         WHERE first + length(leaves) / 32 > ? ORDER BY first`,
        from,
      );
      return concat(
        rows.map(({ first, leaves }) => new Uint8Array(leaves).subarray(Math.max(0, from - first) * 32)),
      );
    },
    /** The lines of a frames segment, LF-ended, in order. */
    lines: (segment: number): { first: number; frames: number; lines: Uint8Array; leaves: Uint8Array }[] =>
      all<{ first: number; frames: number; lines: ArrayBuffer; leaves: ArrayBuffer }>(
        "SELECT first, frames, lines, leaves FROM tape WHERE segment = ? ORDER BY first",
        segment,
      ).map((row) => ({ ...row, lines: new Uint8Array(row.lines), leaves: new Uint8Array(row.leaves) })),
    /** The newest lines that are still here, LF-ended, the newest row first. */
    *newestLines(): Generator<Uint8Array, void, undefined> {
      for (const row of sql.exec<{ lines: ArrayBuffer }>("SELECT lines FROM tape ORDER BY first DESC"))
        yield new Uint8Array(row.lines);
    },
    /** The raw bytes of a bytes segment, one row at a time: a segment is up to 64 MiB. */
    *chunks(segment: number): Generator<Uint8Array, void, undefined> {
      for (let off = 0; ; ) {
        const [row] = all<{ bytes: ArrayBuffer }>(
          "SELECT bytes FROM chunk WHERE segment = ? AND off = ?",
          segment,
          off,
        );
        if (!row) return;
        off += row.bytes.byteLength;
        yield new Uint8Array(row.bytes);
      }
    },
    /** What an encrypted bytes segment is made with, kept before its first put, so that every put has the same bytes. */
    envelope(n: number): Envelope | undefined {
      const [row] = all<Record<"header" | "file_key" | "nonce", ArrayBuffer>>(
        "SELECT header, file_key, nonce FROM envelope WHERE n = ?",
        n,
      );
      if (!row) return undefined;
      const [header, fileKey, nonce] = [row.header, row.file_key, row.nonce].map(
        (bytes) => new Uint8Array(bytes),
      );
      return header && fileKey && nonce && { header, fileKey, nonce };
    },
    setEnvelope(n: number, { header, fileKey, nonce }: Envelope): void {
      sql.exec("INSERT INTO envelope VALUES (?, ?, ?, ?)", n, header, fileKey, nonce);
    },
    chunkSize: (segment: number): number =>
      all<{ size: number | null }>(
        "SELECT sum(length(bytes)) AS size FROM chunk WHERE segment = ?",
        segment,
      )[0]?.size ?? 0,
    segments: (): SegmentRow[] =>
      all<SegmentRow>(
        "SELECT kind, n, first, frames, sha256, bytes, stored, range FROM segment ORDER BY kind DESC, n",
      ),
    /** Marks a segment as cut: nothing is added to it any more. */
    addSegment(kind: "frames" | "bytes", n: number): void {
      sql.exec("INSERT OR IGNORE INTO segment VALUES (?, ?, 0, 0, '', 0, 0, NULL, NULL)", kind, n);
    },
    /** Keeps the packed object and its digest before the first put, so that every put has the same bytes. */
    setPacked(
      n: number,
      row: { first: number; frames: number; sha256: string; leaves: Uint8Array; range: string },
      packed: Uint8Array,
    ): void {
      for (let at = 0, part = 0; at < packed.byteLength; at += PART, part++)
        sql.exec("INSERT OR REPLACE INTO packed VALUES (?, ?, ?)", n, part, packed.subarray(at, at + PART));
      sql.exec(
        "UPDATE segment SET first = ?, frames = ?, sha256 = ?, bytes = ?, leaves = ?, range = ? WHERE kind = 'frames' AND n = ?",
        row.first,
        row.frames,
        row.sha256,
        packed.byteLength,
        row.leaves,
        row.range,
        n,
      );
    },
    packed: (n: number): Uint8Array[] =>
      all<{ bytes: ArrayBuffer }>("SELECT bytes FROM packed WHERE n = ? ORDER BY part", n).map(
        (row) => new Uint8Array(row.bytes),
      ),
    segmentLeaves: (n: number): Uint8Array => {
      const [row] = all<{ leaves: ArrayBuffer | null }>(
        "SELECT leaves FROM segment WHERE kind = 'frames' AND n = ?",
        n,
      );
      return new Uint8Array(row?.leaves ?? new ArrayBuffer(0));
    },
    setBytes(n: number, sha256: string, bytes: number): void {
      sql.exec("UPDATE segment SET sha256 = ?, bytes = ? WHERE kind = 'bytes' AND n = ?", sha256, bytes, n);
    },
    /** The stored copy was read back: the plaintext rows go. */
    purge(kind: "frames" | "bytes", n: number): void {
      sql.exec("UPDATE segment SET stored = 1 WHERE kind = ? AND n = ?", kind, n);
      if (kind === "bytes") {
        sql.exec(
          "DELETE FROM chunk WHERE segment = ?1 AND off NOT IN (SELECT at FROM spooled WHERE segment = ?1)",
          n,
        );
        sql.exec("DELETE FROM envelope WHERE n = ?", n);
      } else {
        sql.exec("DELETE FROM tape WHERE segment = ?", n);
        sql.exec("DELETE FROM packed WHERE n = ?", n);
      }
    },
    /** What waits for the archive: bytes of the segments that are cut and not stored. */
    backlog: (): number =>
      all<{ size: number | null }>(
        `SELECT (SELECT coalesce(sum(length(lines)), 0) FROM tape WHERE segment IN (SELECT n FROM segment WHERE kind = 'frames' AND stored = 0))
              + (SELECT coalesce(sum(length(bytes)), 0) FROM chunk WHERE segment IN (SELECT n FROM segment WHERE kind = 'bytes' AND stored = 0)) AS size`,
      )[0]?.size ?? 0,
    /** Where a piece of a spooled body lies: in a chunk, or in this row when its session keeps no bodies. */
    addSpooled(x: string, { off, length, place, bytes }: SpooledPiece): void {
      const [segment, at] = place ?? [null, null];
      sql.exec("INSERT INTO spooled VALUES (?, ?, ?, ?, ?, ?)", x, off, length, segment, at, bytes ?? null);
    },
    /** What is spooled of a body from `off` to the end of the piece it lies in; undefined when nothing is. */
    spooled(x: string, off: number): Uint8Array | undefined {
      const [row] = all<{ off: number; bytes: ArrayBuffer | null }>(
        `SELECT spooled.off AS off, coalesce(spooled.bytes, chunk.bytes) AS bytes FROM spooled
         LEFT JOIN chunk ON chunk.segment = spooled.segment AND chunk.off = spooled.at
         WHERE spooled.x = ? AND spooled.off <= ? ORDER BY spooled.off DESC LIMIT 1`,
        x,
        off,
      );
      if (!row) return undefined;
      if (!row.bytes) throw new Error("spooled bytes are gone");
      return off - row.off < row.bytes.byteLength ? new Uint8Array(row.bytes, off - row.off) : undefined;
    },
    /** Nothing of the body is read again: what the archive has goes from here. */
    dropSpooled(x: string): void {
      sql.exec(
        `DELETE FROM chunk WHERE (segment, off) IN (SELECT segment, at FROM spooled WHERE x = ?)
         AND segment IN (SELECT n FROM segment WHERE kind = 'bytes' AND stored = 1)`,
        x,
      );
      sql.exec("DELETE FROM spooled WHERE x = ?", x);
    },
    lastHead: (): HeadRow | undefined =>
      all<HeadRow>("SELECT n, size, root, bundle, entry, range FROM head ORDER BY n DESC LIMIT 1")[0],
    addHead: (row: Omit<HeadRow, "entry">): void => {
      sql.exec(
        "INSERT INTO head VALUES (?, ?, ?, ?, NULL, ?)",
        row.n,
        row.size,
        row.root,
        row.bundle,
        row.range,
      );
    },
    setEntry: (n: number, entry: number): void => {
      sql.exec("UPDATE head SET entry = ? WHERE n = ?", entry, n);
    },
    addPushed: (oid: string): void => {
      sql.exec("INSERT OR IGNORE INTO pushed VALUES (?)", oid);
    },
    pushedCount: (): number => all<{ count: number }>("SELECT count(*) AS count FROM pushed")[0]?.count ?? 0,
    pushed: (): string[] => all<{ oid: string }>("SELECT oid FROM pushed ORDER BY oid").map((row) => row.oid),
  };
}

function addLines(sql: SqlStorage, row: Lines): void {
  sql.exec(
    "INSERT INTO tape VALUES (?, ?, ?, ?, ?)",
    row.first,
    row.segment,
    row.frames,
    row.lines,
    row.leaves,
  );
}

function addChunk(sql: SqlStorage, row: Chunk): void {
  sql.exec("INSERT INTO chunk VALUES (?, ?, ?)", row.segment, row.offset, row.bytes);
}
