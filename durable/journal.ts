/**
 * JournalObject: makes small batches of all sessions durable with one commit a turn. A write-ahead log: a session takes
 * its batches into its own rows later, many at once, and has them forgotten here. One a recorder.
 *
 * Sixteen sessions that commit for themselves wait for sixteen fsyncs in a row, on the one thread that serves everybody;
 * through the journal they wait for one (docs/decisions/006-journal.md).
 */
import { DurableObject } from "cloudflare:workers";
import type { SessionId } from "#durable/format/ids.ts";
import { migrate } from "#durable/store/migrations.ts";

/** A batch that fits one frames segment and brings no body chunks. */
export type JournalBatch = {
  readonly segment: number;
  readonly first: number;
  readonly frames: number;
  readonly lines: Uint8Array;
  readonly tally: string;
};

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE batch(session TEXT NOT NULL, first INTEGER NOT NULL, segment INTEGER NOT NULL, frames INTEGER NOT NULL,
     lines BLOB NOT NULL, tally TEXT NOT NULL, PRIMARY KEY(session, first)) WITHOUT ROWID;`,
];

export abstract class JournalObject extends DurableObject {
  readonly #sql = this.ctx.storage.sql;
  #waiting: { session: SessionId; batch: JournalBatch }[] = [];
  #flushing: Promise<void> | undefined;

  /**
   * Resolves when every call that has arrived by now has been taken. A call to oneself does: it queues behind them, and
   * costs a quarter of what a timer of 0 ms takes, which is more than a millisecond here.
   */
  protected abstract turn(): Promise<void>;

  protected load(): void {
    migrate(this.#sql, MIGRATIONS);
  }

  /** What `turn` calls. */
  async rest(): Promise<void> {}

  /** Durable when it returns. Throws when the disk does not take it; then nothing of the turn was kept. */
  append(session: SessionId, batch: JournalBatch): Promise<void> {
    this.#waiting.push({ session, batch });
    // Without the turn there are fewer batches in a commit; that is no reason to fail any of them.
    this.#flushing ??= this.turn()
      .catch(() => undefined)
      .then(() => {
        const turn = this.#waiting;
        this.#waiting = [];
        this.#flushing = undefined;
        const insert = () => turn.forEach((each) => void this.#insert(each.session, each.batch));
        // One statement is whole by itself.
        if (turn.length === 1) insert();
        else this.ctx.storage.transactionSync(insert);
      });
    return this.#flushing;
  }

  /** What was not taken over yet, in order. */
  async batches(session: SessionId): Promise<JournalBatch[]> {
    const query = "SELECT segment, first, frames, lines, tally FROM batch WHERE session = ? ORDER BY first";
    return [...this.#sql.exec(query, session)].map((row) => ({
      segment: Number(row["segment"]),
      first: Number(row["first"]),
      frames: Number(row["frames"]),
      lines: new Uint8Array(row["lines"] as ArrayBuffer),
      tally: String(row["tally"]),
    }));
  }

  /** The session has everything below frame `below` in its own rows. */
  async forget(session: SessionId, below: number): Promise<void> {
    this.#sql.exec("DELETE FROM batch WHERE session = ? AND first < ?", session, below);
  }

  /** What the session gave up, because it could not know that it was kept. */
  async drop(session: SessionId, from: number): Promise<void> {
    this.#waiting = this.#waiting.filter((each) => each.session !== session || each.batch.first < from);
    this.#sql.exec("DELETE FROM batch WHERE session = ? AND first >= ?", session, from);
  }

  /** A batch that is sent again after a lost reply replaces itself. */
  #insert(session: SessionId, { first, segment, frames, lines, tally }: JournalBatch): void {
    const query = "INSERT OR REPLACE INTO batch VALUES (?, ?, ?, ?, ?, ?)";
    this.#sql.exec(query, session, first, segment, frames, lines, tally);
  }
}
