/** The SQL of one hold. What it is stands in rows, and in nothing that a caller could set by name. */
import type { ApprovalEvent, ApprovalRow, HoldTape, Waiter } from "#durable/format/approval/approval.ts";
import { migrate } from "#durable/store/migrations.ts";
import type { Notice } from "./notice.ts";

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE approval(one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL, expires INTEGER NOT NULL, row TEXT NOT NULL);
   CREATE TABLE shown(n INTEGER PRIMARY KEY, frame TEXT NOT NULL);
   CREATE TABLE event(n INTEGER PRIMARY KEY, event TEXT NOT NULL);
   CREATE TABLE waiter(session TEXT NOT NULL, x TEXT NOT NULL, PRIMARY KEY(session, x)) WITHOUT ROWID;
   CREATE TABLE released(one INTEGER PRIMARY KEY CHECK (one = 1), x TEXT NOT NULL);`,
  `CREATE TABLE notice(n INTEGER NOT NULL, target INTEGER NOT NULL, notice TEXT NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL,
   PRIMARY KEY(target, n)) WITHOUT ROWID;`,
];

/** A notice on its way to a webhook; `n` is the event's, 0 for the hold itself. */
export type Queued = {
  readonly n: number;
  readonly target: number;
  readonly notice: Notice;
  readonly attempts: number;
  readonly due: number;
};

export type ApprovalRows = ReturnType<typeof approvalRows>;

export function approvalRows(sql: SqlStorage) {
  migrate(sql, MIGRATIONS);
  let gone = false;
  return {
    /** Its tables are about to be deleted, under an object that may be asked once more. */
    forget(): void {
      gone = true;
    },
    /** Undefined before it is opened, and when it is forgotten. */
    read(): { row: ApprovalRow; expires: number } | undefined {
      if (gone) return undefined;
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
    addEvent(event: Omit<ApprovalEvent, "n">): ApprovalEvent {
      const { n } = sql.exec("SELECT coalesce(max(n), 0) + 1 AS n FROM event").one();
      const numbered = { n: Number(n), ...event };
      sql.exec("INSERT INTO event VALUES (?, ?)", numbered.n, JSON.stringify(numbered));
      return numbered;
    },
    waiters: (): Waiter[] =>
      sql.exec("SELECT session, x FROM waiter ORDER BY x").toArray() as unknown as Waiter[],
    addWaiter({ session, x }: Waiter): void {
      sql.exec("INSERT OR IGNORE INTO waiter VALUES (?, ?)", session, x);
    },
    dropWaiter({ session, x }: Waiter): void {
      sql.exec("DELETE FROM waiter WHERE session = ? AND x = ?", session, x);
    },
    queue(notice: Notice, targets: number, due: number): void {
      const n = notice.event?.n ?? 0;
      for (let target = 0; target < targets; target++)
        sql.exec(
          "INSERT OR IGNORE INTO notice VALUES (?, ?, ?, 0, ?)",
          n,
          target,
          JSON.stringify(notice),
          due,
        );
    },
    /** The oldest of each webhook: they are told in order. */
    queued: (): Queued[] =>
      sql
        .exec("SELECT min(n) AS n, target, notice, attempts, due FROM notice GROUP BY target ORDER BY target")
        .toArray()
        .map(({ n, target, notice, attempts, due }) => ({
          n: Number(n),
          target: Number(target),
          notice: JSON.parse(String(notice)) as Notice,
          attempts: Number(attempts),
          due: Number(due),
        })),
    told({ n, target }: Pick<Queued, "n" | "target">): void {
      sql.exec("DELETE FROM notice WHERE n = ? AND target = ?", n, target);
    },
    later({ n, target }: Pick<Queued, "n" | "target">, attempts: number, due: number): void {
      sql.exec(
        "UPDATE notice SET attempts = ?, due = ? WHERE n = ? AND target = ?",
        attempts,
        due,
        n,
        target,
      );
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
