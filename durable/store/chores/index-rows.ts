/** The SQL of the sessions that wait to be listed: a row from the session's last head until its day's file is in the log. */
import type { IndexRow } from "./session-index.ts";

export const INDEX_MIGRATION = `CREATE TABLE sealed(idx INTEGER PRIMARY KEY, day TEXT NOT NULL, part INTEGER,
   row TEXT NOT NULL);
 CREATE TABLE listed(day TEXT PRIMARY KEY, parts INTEGER NOT NULL) WITHOUT ROWID;`;

/** Rows of one file. A day with more has several. */
const ROWS_MAX = 10_000;

export type Part = { readonly day: string; readonly part: number; readonly rows: readonly IndexRow[] };
export type IndexRows = ReturnType<typeof indexRows>;

export function indexRows({ sql, transactionSync }: Pick<DurableObjectStorage, "sql" | "transactionSync">) {
  return {
    add(index: number, day: string, row: IndexRow): void {
      sql.exec("INSERT OR IGNORE INTO sealed VALUES (?, ?, NULL, ?)", index, day, JSON.stringify(row));
    },
    /** Whether any session waits. */
    some: (): boolean => sql.exec("SELECT 1 FROM sealed LIMIT 1").toArray().length > 0,
    /**
     * What is to be one file, of a day before `today`. Which rows are in it does not change any more: after a crash the
     * same file is made again, and what comes later is another part.
     */
    due(today: string): Part | undefined {
      const [first] = sql
        .exec("SELECT day, part FROM sealed WHERE day < ? ORDER BY part IS NULL, day LIMIT 1", today)
        .toArray();
      if (!first) return undefined;
      const day = String(first["day"]);
      const part = first["part"] === null ? freeze(day) : Number(first["part"]);
      const rows = sql
        .exec("SELECT row FROM sealed WHERE day = ? AND part = ? ORDER BY idx", day, part)
        .toArray();
      return { day, part, rows: rows.map(({ row }) => JSON.parse(String(row)) as IndexRow) };
    },
    /** The key of the part is taken: its rows become the next one. */
    again({ day, part }: Part): void {
      sql.exec("UPDATE sealed SET part = ? WHERE day = ? AND part = ?", part + 1, day, part);
    },
    /** It is in the archive and in the log. */
    done({ day, part }: Part): void {
      transactionSync(() => {
        sql.exec("DELETE FROM sealed WHERE day = ? AND part = ?", day, part);
        sql.exec("INSERT OR REPLACE INTO listed VALUES (?, ?)", day, part + 1);
      });
    },
  };

  function freeze(day: string): number {
    const [listed] = sql.exec("SELECT parts FROM listed WHERE day = ?", day).toArray();
    const part = Number(listed?.["parts"] ?? 0);
    const some = "SELECT idx FROM sealed WHERE day = ? AND part IS NULL ORDER BY idx LIMIT ?";
    sql.exec(`UPDATE sealed SET part = ? WHERE idx IN (${some})`, part, day, ROWS_MAX);
    return part;
  }
}
