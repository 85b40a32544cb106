/** The SQL of the ledger: entries in order, and checkpoints from their signing until everything of them is published. */

import type { Bytes } from "#durable/proof/bytes.ts";
import { INDEX_MIGRATION } from "../chores/index-rows.ts";

/** A checkpoint over the first `size` entries; `start` is the size of the one before. */
export type CheckpointRow = {
  readonly start: number;
  readonly size: number;
  /** When it was signed, in seconds since 1970. */
  readonly at: number;
  readonly root: Bytes;
  /** Of the tree at `size`. */
  readonly edge: Bytes;
  readonly note: string;
};

/**
 * An entry: its leaf for as long as the log exists, its body until its tile is full, its head (or whatever else was
 * signed) until it is published.
 */
export type EntryRow = {
  readonly index: number;
  readonly leaf: Bytes;
  readonly body: Bytes | undefined;
  readonly head: string | undefined;
};

export type NewEntry = {
  /** Of which there is one entry, however often it is asked for. */
  readonly key: string;
  /** Equal when the same is asked for again. */
  readonly said: Bytes;
  readonly leaf: Bytes;
  readonly body: Bytes;
  readonly head: string;
};

export const LEDGER_MIGRATIONS: readonly string[] = [
  `CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE entry(idx INTEGER PRIMARY KEY, session TEXT NOT NULL, n INTEGER NOT NULL, leaf BLOB NOT NULL,
     body BLOB, head TEXT, UNIQUE(session, n));
   CREATE TABLE checkpoint(size INTEGER NOT NULL, at INTEGER NOT NULL, start INTEGER NOT NULL, root BLOB NOT NULL,
     edge BLOB NOT NULL, note TEXT NOT NULL, published INTEGER NOT NULL, PRIMARY KEY(size, at));`,
  `CREATE TABLE placed(idx INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, said BLOB NOT NULL, leaf BLOB NOT NULL,
     body BLOB, head TEXT);
   INSERT INTO placed SELECT idx, 'head ' || session || ' ' || n, leaf, leaf, body, head FROM entry ORDER BY idx;
   DROP TABLE entry;
   ALTER TABLE placed RENAME TO entry;`,
  INDEX_MIGRATION,
  "CREATE TABLE stamp(object TEXT PRIMARY KEY, token BLOB) WITHOUT ROWID;",
];

export type LedgerRows = ReturnType<typeof ledgerRows>;

const bytes = (value: SqlStorageValue | undefined): Bytes => new Uint8Array(value as ArrayBuffer);

const checkpointOf = (row: Record<string, SqlStorageValue>): CheckpointRow => ({
  start: Number(row["start"]),
  size: Number(row["size"]),
  at: Number(row["at"]),
  root: bytes(row["root"]),
  edge: bytes(row["edge"]),
  note: String(row["note"]),
});

export function ledgerRows({ sql, transactionSync }: Pick<DurableObjectStorage, "sql" | "transactionSync">) {
  const newest = (published: 0 | 1): CheckpointRow | undefined => {
    const query = "SELECT * FROM checkpoint WHERE published = ? ORDER BY size DESC, at DESC LIMIT 1";
    const [row] = sql.exec(query, published).toArray();
    return row && checkpointOf(row);
  };
  return {
    fact(name: string): string | undefined {
      const [row] = sql.exec("SELECT value FROM fact WHERE name = ?", name).toArray();
      return row && String(row["value"]);
    },
    setFact(name: string, value: string): void {
      sql.exec("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, value);
    },
    size: (): number => Number(sql.exec("SELECT coalesce(max(idx) + 1, 0) AS size FROM entry").one()["size"]),
    /** The entry that was made under a key, and what it was asked to say. */
    find(key: string): { readonly index: number; readonly said: Bytes } | undefined {
      const [row] = sql.exec("SELECT idx, said FROM entry WHERE key = ?", key).toArray();
      return row && { index: Number(row["idx"]), said: bytes(row["said"]) };
    },
    /** With what else must be true from then on. */
    add(index: number, { key, said, leaf, body, head }: NewEntry, along?: (index: number) => void): void {
      transactionSync(() => {
        sql.exec("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", index, key, said, leaf, body, head);
        along?.(index);
      });
    },
    /** Entries [from, to), in order. */
    entries: (from: number, to: number): EntryRow[] =>
      [
        ...sql.exec(
          "SELECT idx, leaf, body, head FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx",
          from,
          to,
        ),
      ].map((row) => ({
        index: Number(row["idx"]),
        leaf: bytes(row["leaf"]),
        body: row["body"] === null ? undefined : bytes(row["body"]),
        head: row["head"] === null ? undefined : String(row["head"]),
      })),
    /** The checkpoint that is signed and not wholly published; at most one is. */
    pending: () => newest(0),
    /** The newest of which everything is in the archive. */
    published: () => newest(1),
    /** Signed, before anybody sees it. The log's name and keys are kept with the first. */
    addCheckpoint({ start, size, at, root, edge, note }: CheckpointRow, log: string): void {
      transactionSync(() => {
        sql.exec("INSERT OR IGNORE INTO fact VALUES ('log', ?)", log);
        const insert = "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, 0)";
        sql.exec(insert, size, at, start, root, edge, note);
      });
    },
    /** The note with what witnesses have added to it: the one that is published. */
    setNote({ size, at }: CheckpointRow, note: string): void {
      transactionSync(() => {
        sql.exec("UPDATE checkpoint SET note = ? WHERE size = ? AND at = ?", note, size, at);
        sql.exec("INSERT OR REPLACE INTO fact VALUES ('noted', ?)", `${size}-${at}`);
      });
    },
    /** Whether witnesses have been asked: its note does not change any more. */
    isNoted({ size, at }: CheckpointRow): boolean {
      const [row] = sql.exec("SELECT value FROM fact WHERE name = 'noted'").toArray();
      return row?.["value"] === `${size}-${at}`;
    },
    /** What became of a timestamp before its object's first put: every put has the same one, or none. */
    stamp(object: string): { readonly token: Bytes | undefined } | undefined {
      const [row] = sql.exec("SELECT token FROM stamp WHERE object = ?", object).toArray();
      return row && { token: row["token"] === null ? undefined : bytes(row["token"]) };
    },
    setStamp(object: string, token: Bytes | undefined): void {
      sql.exec("INSERT INTO stamp VALUES (?, ?)", object, token ?? null);
    },
    /** Everything of it is in the archive: what only publishing needed goes. `tiled` entries are in full tiles. */
    setPublished({ size, at }: CheckpointRow, tiled: number): void {
      transactionSync(() => {
        sql.exec("UPDATE checkpoint SET published = 1 WHERE size = ? AND at = ?", size, at);
        sql.exec("DELETE FROM checkpoint WHERE published = 1 AND NOT (size = ? AND at = ?)", size, at);
        sql.exec("DELETE FROM stamp");
        sql.exec("UPDATE entry SET head = NULL WHERE idx < ? AND head IS NOT NULL", size);
        sql.exec("UPDATE entry SET body = NULL WHERE idx < ? AND body IS NOT NULL", tiled);
      });
    },
  };
}
