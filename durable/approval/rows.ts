/** The SQL of one hold. What it is stands in rows, and in nothing that a caller could set by name. */
import type { ApprovalEvent, ApprovalRow, HoldTape, Waiter } from "#durable/format/approval/approval.ts";
import { migrate } from "#durable/store/migrations.ts";

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE approval(one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL, expires INTEGER NOT NULL, row TEXT NOT NULL);
   CREATE TABLE shown(n INTEGER PRIMARY KEY, frame TEXT NOT NULL);
   CREATE TABLE event(n INTEGER PRIMARY KEY, event TEXT NOT NULL);
   CREATE TABLE waiter(session TEXT NOT NULL, x TEXT NOT NULL, PRIMARY KEY(session, x)) WITHOUT ROWID;
   CREATE TABLE released(one INTEGER PRIMARY KEY CHECK (one = 1), x TEXT NOT NULL);`,
];

export type ApprovalRows = ReturnType<typeof approvalRows>;

export function approvalRows(sql: SqlStorage) {
  migrate(sql, MIGRATIONS);
  return {
    /** Undefined before it is opened. */
    read(): { row: ApprovalRow; expires: number } | undefined {
      const [found] = sql.exec("SELECT state, expires, row FROM approval").toArray();
      if (!found) return undefined;
      const row = JSON.parse(String(found["row"])) as ApprovalRow;
      return {
        row: { ...row, state: found["state"] as ApprovalRow["state"] },
        expires: Number(found["expires"]),
      };
    },
    open(row: ApprovalRow, expires: number, shown: HoldTape["shown"]): void {
      sql.exec("INSERT INTO approval VALUES (1, ?, ?, ?)", row.state, expires, JSON.stringify(row));
      for (const [n, frame] of shown.entries())
        sql.exec("INSERT INTO shown VALUES (?, ?)", n, JSON.stringify(frame));
    },
    setState(state: ApprovalRow["state"]): void {
      sql.exec("UPDATE approval SET state = ?", state);
    },
    shown: (): HoldTape["shown"] =>
      sql
        .exec("SELECT frame FROM shown ORDER BY n")
        .toArray()
        .map((row) => JSON.parse(String(row["frame"])) as HoldTape["shown"][number]),
    events: (): ApprovalEvent[] =>
      sql
        .exec("SELECT event FROM event ORDER BY n")
        .toArray()
        .map((row) => JSON.parse(String(row["event"])) as ApprovalEvent),
    addEvent(event: Omit<ApprovalEvent, "n">): void {
      const { n } = sql.exec("SELECT coalesce(max(n), 0) + 1 AS n FROM event").one();
      sql.exec("INSERT INTO event VALUES (?, ?)", n as number, JSON.stringify({ n, ...event }));
    },
    waiters: (): Waiter[] =>
      sql.exec("SELECT session, x FROM waiter ORDER BY x").toArray() as unknown as Waiter[],
    addWaiter({ session, x }: Waiter): void {
      sql.exec("INSERT OR IGNORE INTO waiter VALUES (?, ?)", session, x);
    },
    dropWaiter({ session, x }: Waiter): void {
      sql.exec("DELETE FROM waiter WHERE session = ? AND x = ?", session, x);
    },
    /** The exchange it was released for. */
    released: (): string | undefined => {
      const [row] = sql.exec("SELECT x FROM released").toArray();
      return row && String(row["x"]);
    },
    setReleased(x: string): void {
      sql.exec("INSERT INTO released VALUES (1, ?)", x);
    },
  };
}
