/** The directory's standing approvals, and which live exchanges rest on each. */
import type { Grant, StandingRow } from "#durable/format/approval/standing.ts";
import type { ApprovalId, ExchangeId, SessionId, StandingId } from "#durable/format/ids.ts";

export const STANDING_MIGRATION = `CREATE TABLE standing(id TEXT PRIMARY KEY, until INTEGER NOT NULL, revoked INTEGER NOT NULL, row TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE resting(standing TEXT NOT NULL, approval TEXT NOT NULL, session TEXT NOT NULL, x TEXT NOT NULL, PRIMARY KEY(standing, x)) WITHOUT ROWID;`;

/** An exchange that left by a standing approval. */
export type Rest = { readonly approval: ApprovalId; readonly session: SessionId; readonly x: ExchangeId };

/** Each is asked of every held operation that it might lift. */
const LIVE_MAX = 100;
const GRANTS_MAX = 20;
const LISTED = 1_000;
/** How long it is listed after it is over. */
const KEPT_MS = 30 * 24 * 3_600_000;

type Stored = Omit<StandingRow, "state">;

export class Standing {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** False when there are too many. What is known already stays as it is. */
  grant(row: Stored, until: number, now: number): boolean {
    const kept = now - KEPT_MS;
    this.#sql.exec("DELETE FROM resting WHERE standing IN (SELECT id FROM standing WHERE until <= ?)", kept);
    this.#sql.exec("DELETE FROM standing WHERE until <= ?", kept);
    if (this.live(now).length >= LIVE_MAX) return false;
    this.#sql.exec(
      "INSERT OR IGNORE INTO standing VALUES (?, ?, 0, ?)",
      row.standing,
      until,
      JSON.stringify(row),
    );
    return true;
  }

  /** Undefined when there is none that is live, or has room for another. */
  join(id: StandingId, grant: Grant, now: number): StandingRow | undefined {
    const found = this.one(id, now);
    if (found?.state !== "live" || found.grants.length >= GRANTS_MAX) return undefined;
    const { state: _, ...row } = found;
    this.#keep({ ...row, grants: [...row.grants, grant] });
    return this.one(id, now);
  }

  /** Nothing passes by it any more. Revoked again, it stays as it was. What rests on it is `resting`. */
  revoke(id: StandingId, revoked: NonNullable<StandingRow["revoked"]>): void {
    const found = this.one(id, 0);
    if (!found || found.revoked) return;
    const { state: _, ...row } = found;
    this.#sql.exec("UPDATE standing SET revoked = 1 WHERE id = ?", id);
    this.#keep({ ...row, revoked });
  }

  /** Whether an exchange may leave by it, which then rests on it. */
  rest(id: StandingId, { approval, session, x }: Rest, now: number): boolean {
    if (this.one(id, now)?.state !== "live") return false;
    this.#sql.exec("INSERT OR IGNORE INTO resting VALUES (?, ?, ?, ?)", id, approval, session, x);
    return true;
  }

  resting(id: StandingId): Rest[] {
    return this.#sql
      .exec("SELECT approval, session, x FROM resting WHERE standing = ? ORDER BY x", id)
      .toArray() as unknown as Rest[];
  }

  /** They were cut, or had ended. */
  rested(id: StandingId): void {
    this.#sql.exec("DELETE FROM resting WHERE standing = ?", id);
  }

  one(id: StandingId, now: number): StandingRow | undefined {
    return this.#rows("SELECT * FROM standing WHERE id = ?", now, id)[0];
  }

  live(now: number): StandingRow[] {
    return this.#rows("SELECT * FROM standing WHERE revoked = 0 AND until > ? ORDER BY id", now, now);
  }

  /** Newest first. */
  list(now: number): StandingRow[] {
    return this.#rows(`SELECT * FROM standing ORDER BY id DESC LIMIT ${LISTED}`, now);
  }

  #rows(query: string, now: number, ...args: (string | number)[]): StandingRow[] {
    return this.#sql
      .exec(query, ...args)
      .toArray()
      .map(({ until, revoked, row }) => ({
        ...(JSON.parse(String(row)) as Stored),
        state: revoked === 1 ? "revoked" : now < Number(until) ? "live" : "over",
      }));
  }

  #keep(row: Stored): void {
    this.#sql.exec("UPDATE standing SET row = ? WHERE id = ?", JSON.stringify(row), row.standing);
  }
}
