/** The directory's list of holds: who asks finds here which approval is for the same content. The objects decide. */
import type { ApprovalRow } from "#durable/format/approval/approval.ts";
import type { ApprovalId } from "#durable/format/ids.ts";

export const PENDING_MIGRATION = `CREATE TABLE hold(approval TEXT PRIMARY KEY, digest TEXT NOT NULL, state TEXT NOT NULL, expires INTEGER NOT NULL, row TEXT) WITHOUT ROWID;
   CREATE UNIQUE INDEX hold_open ON hold(digest) WHERE state IN ('pending', 'approved');
   CREATE INDEX hold_state ON hold(state, approval);`;

const LISTED = 1_000;
/** What can be held at once on one node: each costs a push's disk, and somebody's attention. */
const PENDING_MAX = 5_000;

export class Pending {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The approval for this content, if one is open, or with `rounds` was released; else `fresh` is, from now on. */
  claim(
    digest: string,
    fresh: ApprovalId,
    { now, expires, rounds }: { readonly now: number; readonly expires: number; readonly rounds: boolean },
  ): ApprovalId | "full" {
    // An object that was never opened, after a crash, tells nobody that its time is over.
    this.#sql.exec(
      "UPDATE hold SET state = 'expired' WHERE state IN ('pending', 'approved') AND expires <= ?",
      now,
    );
    const [known] = this.#sql
      .exec(
        `SELECT approval FROM hold WHERE digest = ? AND (state IN ('pending', 'approved') OR state = ?)
         ORDER BY state = 'released', approval DESC LIMIT 1`,
        digest,
        rounds ? "released" : "pending",
      )
      .toArray();
    if (known) return known["approval"] as ApprovalId;
    const { count } = this.#sql.exec("SELECT count(*) AS count FROM hold WHERE state = 'pending'").one();
    if (Number(count) >= PENDING_MAX) return "full";
    this.#sql.exec("INSERT INTO hold VALUES (?, ?, 'pending', ?, NULL)", fresh, digest, expires);
    return fresh;
  }

  /** News may come out of order: what is over stays over. */
  tell(row: ApprovalRow): void {
    this.#sql.exec(
      `UPDATE hold SET state = ?1, row = ?2 WHERE approval = ?3 AND (state IN ('pending', 'approved') OR state = ?1)
       AND NOT (state = 'approved' AND ?1 = 'pending')`,
      row.state,
      JSON.stringify(row),
      row.approval,
    );
  }

  forget(approval: ApprovalId): void {
    this.#sql.exec("DELETE FROM hold WHERE approval = ?", approval);
  }

  /** Newest first; those that wait before all others. */
  list(): ApprovalRow[] {
    return this.#sql
      .exec(
        `SELECT state, row FROM hold WHERE row IS NOT NULL ORDER BY state <> 'pending', approval DESC LIMIT ${LISTED}`,
      )
      .toArray()
      .map(({ state, row }) => ({
        ...(JSON.parse(String(row)) as ApprovalRow),
        state: state as ApprovalRow["state"],
      }));
  }
}
