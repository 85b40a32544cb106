/** LedgerObject: gives every head its place in one sequence, and publishes them in that order. Single writer. */
import { DurableObject } from "cloudflare:workers";
import type { SessionId } from "#durable/format/ids.ts";
import { entryKey, SEAL_PUB } from "#durable/format/layout.ts";
import { utf8 } from "#durable/proof/bytes.ts";
import { migrate } from "#durable/store/migrations.ts";
import { nextDelay } from "#durable/store/outbox.ts";
import { alert, type Means } from "./means.ts";

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE entry(idx INTEGER PRIMARY KEY, session TEXT NOT NULL, n INTEGER NOT NULL, bundle TEXT NOT NULL,
     published INTEGER NOT NULL, UNIQUE(session, n));
   CREATE INDEX waiting ON entry(idx) WHERE published = 0;`,
];

export abstract class LedgerObject extends DurableObject {
  protected abstract readonly means: Pick<Means, "archive" | "sealPub" | "now">;
  readonly #sql = this.ctx.storage.sql;
  #publishing: Promise<void> | undefined;
  #attempts = 0;

  protected load(): void {
    migrate(this.#sql, MIGRATIONS);
  }

  /** The index of a head: the next one, or the one it got when it was first appended. Durable when this returns. */
  async append(session: SessionId, n: number, bundle: string): Promise<number> {
    const [known] = this.#sql
      .exec("SELECT idx, bundle FROM entry WHERE session = ? AND n = ?", session, n)
      .toArray();
    if (known) {
      if (known["bundle"] !== bundle)
        throw new Error(`head ${n} of ${session} is in the ledger with other bytes`);
      return Number(known["idx"]);
    }
    const { next } = this.#sql.exec("SELECT coalesce(max(idx) + 1, 0) AS next FROM entry").one();
    const index = Number(next);
    this.#sql.exec("INSERT INTO entry VALUES (?, ?, ?, ?, 0)", index, session, n, bundle);
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(this.means.now() + 100);
    return index;
  }

  /** Returns when every entry appended before the call is in the archive. Throws when the archive fails. */
  async publish(): Promise<void> {
    while (this.#publishing) await this.#publishing;
    this.#publishing = this.#publish().finally(() => {
      this.#publishing = undefined;
    });
    await this.#publishing;
  }

  override async alarm(): Promise<void> {
    try {
      await this.publish();
      this.#attempts = 0;
    } catch (cause) {
      this.#attempts += 1;
      alert("ledger_delayed", { attempt: this.#attempts, cause: String(cause) });
      await this.ctx.storage.setAlarm(this.means.now() + nextDelay(this.#attempts, Math.random()));
    }
  }

  /** Each step is create-only: a crash between put and mark repeats the put with the same bytes. */
  async #publish(): Promise<void> {
    const { archive, sealPub } = this.means;
    const waiting = this.#sql
      .exec("SELECT idx, bundle FROM entry WHERE published = 0 ORDER BY idx")
      .toArray();
    if (waiting[0]?.["idx"] === 0) await archive.put(SEAL_PUB, utf8(sealPub), { locked: false });
    for (const row of waiting) {
      const index = Number(row["idx"]);
      await archive.put(entryKey(index), utf8(String(row["bundle"])), { locked: true });
      this.#sql.exec("UPDATE entry SET published = 1 WHERE idx = ?", index);
    }
  }
}
