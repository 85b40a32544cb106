/** Erasures and legal holds of sealed sessions: what was asked, how far it is, and the steps that are taken again after a crash. */
import type { SessionId } from "#durable/format/ids.ts";
import { sessionFolder } from "#durable/format/layout.ts";
import type { Attestable } from "#durable/format/log/attestation.ts";
import type { CustodyView } from "#durable/format/tape.ts";
import { sha256, toHex } from "#durable/proof/bytes.ts";
import type { Archive } from "#durable/store/archive.ts";
import type { KeyStore } from "#durable/store/keys/key-store.ts";

/** Who asked, and for which case. `by` is a pseudonym, `hmac:<hex>`; `reason` is kept in the log, in clear and for good. */
export type Asked = { readonly by: string; readonly reason: string };

export type CustodyMeans = {
  readonly archive: Archive;
  readonly keys?: KeyStore;
  /** Its entry, once it is in the archive with everything before it. */
  readonly say: (key: string, attestation: Attestable) => Promise<void>;
  readonly now: () => number;
};

export const CUSTODY_MIGRATION = `CREATE TABLE erasure(session TEXT PRIMARY KEY, by TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL,
    digest TEXT, step TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE legal_hold(session TEXT NOT NULL, n INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL,
    state TEXT NOT NULL, told INTEGER NOT NULL, PRIMARY KEY(session, n)) WITHOUT ROWID;`;

type ErasureRow = Asked & {
  readonly session: SessionId;
  readonly at: number;
  /** Of the key's file, once it was looked at. */
  readonly digest: string | null;
  readonly step: "asked" | "logged" | "done";
};
type HoldRow = Asked & {
  readonly session: SessionId;
  readonly n: number;
  readonly at: number;
  readonly state: "set" | "lifted";
  readonly told: 0 | 1;
};

/** Each row is written before the step it stands for, so that a crash at any moment repeats a step and skips none. */
export class Custody {
  readonly #sql: SqlStorage;
  readonly #means: () => CustodyMeans;
  readonly #working = new Map<string, Promise<void>>();

  constructor(sql: SqlStorage, means: () => CustodyMeans) {
    this.#sql = sql;
    this.#means = means;
  }

  /** What there is to say of a session's custody. */
  viewOf(session: SessionId): CustodyView {
    const erasure = this.#erasure(session);
    const hold = this.#hold(session);
    const time = (at: number) => new Date(at).toISOString();
    return {
      ...(erasure && {
        erasure: {
          at: time(erasure.at),
          reason: erasure.reason,
          state: erasure.step === "done" ? "done" : "begun",
        },
      }),
      ...(hold?.state === "set" && { legalHold: { at: time(hold.at), reason: hold.reason } }),
    };
  }

  /** Asks for an erasure; asking again changes nothing. Says why not, when a legal hold forbids it. */
  askErasure(session: SessionId, { by, reason }: Asked): string | undefined {
    if (this.#erasure(session)) return undefined;
    const hold = this.#hold(session);
    if (hold?.state === "set") return `session ${session} is under a legal hold (${hold.reason})`;
    if (!this.#means().keys) return "no store of keys is configured here (archive.keys_bucket)";
    const at = this.#means().now();
    this.#sql.exec("INSERT INTO erasure VALUES (?, ?, ?, ?, NULL, 'asked')", session, by, reason, at);
    return undefined;
  }

  /** Sets or lifts a legal hold. Says why not, when the session is being erased. */
  askHold(session: SessionId, state: HoldRow["state"], { by, reason }: Asked): string | undefined {
    if (this.#erasure(session)) return `session ${session} was erased, or is being erased`;
    const hold = this.#hold(session);
    if ((hold?.state ?? "lifted") === state) return undefined;
    const n = (hold?.n ?? -1) + 1;
    const at = this.#means().now();
    this.#sql.exec("INSERT INTO legal_hold VALUES (?, ?, ?, ?, ?, ?, 0)", session, n, by, reason, at, state);
    return undefined;
  }

  /** Sessions of which something is still to be done. */
  pending(): SessionId[] {
    const query =
      "SELECT session FROM erasure WHERE step <> 'done' UNION SELECT session FROM legal_hold WHERE told = 0";
    return this.#sql
      .exec(query)
      .toArray()
      .map((row) => row["session"] as SessionId);
  }

  /** Does what is to be done for a session. Throws when the log, the archive or the store of keys fails; call again. */
  async work(session: SessionId): Promise<void> {
    const before = this.#working.get(session) ?? Promise.resolve();
    const working = before
      .catch(() => undefined)
      .then(async () => {
        for (const hold of this.#untold(session)) await this.#tell(hold);
        await this.#erase(session);
      })
      .finally(() => {
        if (this.#working.get(session) === working) this.#working.delete(session);
      });
    this.#working.set(session, working);
    await working;
  }

  async #erase(session: SessionId): Promise<void> {
    const asked = this.#erasure(session);
    const { keys } = this.#means();
    if (!asked || asked.step === "done") return;
    if (!keys) throw new Error(`${session} is to be erased, and no store of keys is configured`);
    const digest = asked.digest ?? (await this.#look(session, keys));
    if (asked.step === "asked") {
      await this.#say(asked, digest, "begun");
      this.#step(session, "logged");
    }
    // Safe here: the log, as the archive has it, says that the key is going to be destroyed, by whom and why.
    await keys.remove(session);
    // Safe here: it was looked for, and is not there.
    await this.#say(asked, digest, "done");
    this.#step(session, "done");
  }

  /** Kept before it is said: what the log is told again after a crash are the same facts. */
  async #look(session: SessionId, keys: KeyStore): Promise<string> {
    const digest = toHex(sha256((await keys.get(session)) ?? new Uint8Array()));
    this.#sql.exec("UPDATE erasure SET digest = ? WHERE session = ?", digest, session);
    return digest;
  }

  #say({ session, by, reason }: ErasureRow, keySha256: string, state: "begun" | "done"): Promise<void> {
    return this.#means().say(`${session} ${state}`, {
      kind: "erasure",
      session,
      by,
      keySha256,
      reason,
      state,
    });
  }

  async #tell({ session, n, by, reason, state }: HoldRow): Promise<void> {
    const { archive, say } = this.#means();
    await say(`${session} ${n}`, { kind: "legal-hold", session, by, reason, state });
    if (archive.legalHold)
      for await (const key of archive.list(sessionFolder(session)))
        await archive.legalHold(key, state === "set");
    this.#sql.exec("UPDATE legal_hold SET told = 1 WHERE session = ? AND n = ?", session, n);
  }

  #step(session: SessionId, step: ErasureRow["step"]): void {
    this.#sql.exec("UPDATE erasure SET step = ? WHERE session = ?", step, session);
  }

  #erasure(session: SessionId): ErasureRow | undefined {
    const [row] = this.#sql.exec("SELECT * FROM erasure WHERE session = ?", session).toArray();
    return row as ErasureRow | undefined;
  }

  #hold(session: SessionId): HoldRow | undefined {
    const query = "SELECT * FROM legal_hold WHERE session = ? ORDER BY n DESC LIMIT 1";
    return this.#sql.exec(query, session).toArray()[0] as HoldRow | undefined;
  }

  #untold(session: SessionId): HoldRow[] {
    const query = "SELECT * FROM legal_hold WHERE session = ? AND told = 0 ORDER BY n";
    return this.#sql.exec(query, session).toArray() as HoldRow[];
  }
}
