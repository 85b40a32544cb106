/** The pins of every connection: which definition of a tool was seen first, or approved last, and who was shown another since. */
import type { Acceptance, Definition, Known, PinState } from "#durable/format/catalogue/definition.ts";

export const PINS_MIGRATION = `CREATE TABLE pin(connection TEXT NOT NULL, tool TEXT NOT NULL, digest TEXT NOT NULL, newest TEXT NOT NULL, PRIMARY KEY(connection, tool)) WITHOUT ROWID;
   CREATE TABLE definition(connection TEXT NOT NULL, tool TEXT NOT NULL, digest TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY(connection, tool, digest));
   CREATE TABLE shown(connection TEXT NOT NULL, tool TEXT NOT NULL, who TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY(connection, tool, who)) WITHOUT ROWID;
   CREATE TABLE lister(connection TEXT NOT NULL, who TEXT NOT NULL, PRIMARY KEY(connection, who)) WITHOUT ROWID;`;

/** How long another definition still counts after the pinned one was shown again; 0 while that has not been. */
export const SHOWN_MIGRATION = "ALTER TABLE shown ADD COLUMN until INTEGER NOT NULL DEFAULT 0";

/** Tools of one connection: a server that thinks of new ones all the time must not fill the node. */
const PINS_MAX = 10_000;

/**
 * Whoever it is about is a pseudonym: `who` is the node's keyed digest of a principal. A definition that somebody was shown
 * counts for as long as a session may last, `keptMs`, after the server went back to the pinned one: a model has read it.
 */
export class Pins {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** What is known of a tool; undefined when nobody was ever shown it. */
  known(connection: string, who: string, tool: string, now: number): Known | undefined {
    const pin = this.#pin(connection, tool);
    if (!pin) return undefined;
    const pinned = this.#definition(connection, tool, pin.digest);
    const other = this.#other(connection, who, tool, pin, now);
    if (!other) return { pinned };
    const shown = this.#definition(connection, tool, other.digest);
    return { pinned, shown, ...(other.until > 0 && { withdrawn: true as const }) };
  }

  /**
   * Pins what is new, and remembers of what differs from its pin that this principal was shown it. Undefined, and nothing
   * is done, when the connection would have more pins than it may.
   */
  learn(
    connection: string,
    who: string,
    shown: readonly Definition[],
    { now, keptMs }: { readonly now: number; readonly keptMs: number },
  ): readonly PinState[] | undefined {
    const pins = this.#all(connection);
    const fresh = shown.filter(({ tool }) => !pins.has(tool)).length;
    if (fresh > 0 && pins.size + fresh > PINS_MAX) return undefined;
    this.#sql.exec("DELETE FROM shown WHERE connection = ? AND until BETWEEN 1 AND ?", connection, now);
    const others = this.#others(connection, who);
    this.#sql.exec("INSERT OR IGNORE INTO lister VALUES (?, ?)", connection, who);
    return shown.map((one) => {
      const pin = pins.get(one.tool);
      if (!pin) return this.#first(connection, one);
      const same = pin.digest === one.digest;
      // As every list is but the first, and those that change something.
      if (same && pin.newest === one.digest && !others.has(one.tool)) return "pinned";
      this.#again(connection, who, pin, one, now + keptMs);
      return same ? "pinned" : "changed";
    });
  }

  #first(connection: string, { tool, digest, text }: Definition): PinState {
    this.#sql.exec("INSERT INTO definition VALUES (?, ?, ?, ?)", connection, tool, digest, text);
    this.#sql.exec("INSERT INTO pin VALUES (?, ?, ?, ?)", connection, tool, digest, digest);
    return "new";
  }

  #again(connection: string, who: string, pin: Pin, { tool, digest, text }: Definition, until: number): void {
    this.#sql.exec("INSERT OR IGNORE INTO definition VALUES (?, ?, ?, ?)", connection, tool, digest, text);
    this.#sql.exec("UPDATE pin SET newest = ? WHERE connection = ? AND tool = ?", digest, connection, tool);
    if (pin.digest !== digest)
      this.#sql.exec("INSERT OR REPLACE INTO shown VALUES (?, ?, ?, ?, 0)", connection, tool, who, digest);
    else {
      const query = "UPDATE shown SET until = ? WHERE connection = ? AND tool = ? AND who = ? AND until = 0";
      this.#sql.exec(query, until, connection, tool, who);
    }
    this.#forget(connection, tool);
  }

  #all(connection: string): ReadonlyMap<string, Pin> {
    const rows = this.#sql.exec("SELECT tool, digest, newest FROM pin WHERE connection = ?", connection);
    return new Map(rows.toArray().map((row) => [String(row["tool"]), pinOf(row)]));
  }

  /** Tools of which somebody was shown another than the pinned definition, last or a while ago. */
  #others(connection: string, who: string): ReadonlySet<string> {
    const rows = this.#sql.exec("SELECT tool FROM shown WHERE connection = ? AND who = ?", connection, who);
    return new Set(rows.toArray().map(({ tool }) => String(tool)));
  }

  /**
   * Makes it the pin; or, where the server has gone back to the pinned one, lets it count no more. False, and nothing is
   * done, when this principal was shown another since.
   */
  accept(connection: string, who: string, { tool, digest }: Acceptance, now: number): boolean {
    const pin = this.#pin(connection, tool);
    const other = pin && this.#other(connection, who, tool, pin, now);
    if (!other) return pin?.digest === digest;
    if (other.digest !== digest) return false;
    if (other.until > 0) {
      const query = "DELETE FROM shown WHERE connection = ? AND tool = ? AND who = ?";
      this.#sql.exec(query, connection, tool, who);
    } else {
      const query = "DELETE FROM shown WHERE connection = ? AND tool = ? AND digest = ?";
      this.#sql.exec("UPDATE pin SET digest = ? WHERE connection = ? AND tool = ?", digest, connection, tool);
      this.#sql.exec(query, connection, tool, digest);
    }
    this.#forget(connection, tool);
    return true;
  }

  /** What somebody was shown that is not the pin. Who was never shown a list may know of the tool by what anybody was shown last. */
  #other(connection: string, who: string, tool: string, pin: Pin, now: number): Other | undefined {
    const query = "SELECT digest, until FROM shown WHERE connection = ? AND tool = ? AND who = ?";
    const [row] = this.#sql.exec(query, connection, tool, who).toArray();
    const until = Number(row?.["until"] ?? 0);
    if (row && (until === 0 || until > now)) return { digest: String(row["digest"]), until };
    const lists = this.#sql.exec("SELECT 1 FROM lister WHERE connection = ? AND who = ?", connection, who);
    if (pin.newest === pin.digest || lists.toArray().length > 0) return undefined;
    return { digest: pin.newest, until: 0 };
  }

  #pin(connection: string, tool: string): Pin | undefined {
    const [row] = this.#sql
      .exec("SELECT digest, newest FROM pin WHERE connection = ? AND tool = ?", connection, tool)
      .toArray();
    return row && pinOf(row);
  }

  #definition(connection: string, tool: string, digest: string): Definition {
    const query = "SELECT text FROM definition WHERE connection = ? AND tool = ? AND digest = ?";
    const { text } = this.#sql.exec(query, connection, tool, digest).one();
    return { tool, digest, text: String(text) };
  }

  /** Definitions that are no pin, and that nobody was shown last. */
  #forget(connection: string, tool: string): void {
    this.#sql.exec(
      `DELETE FROM definition WHERE connection = ?1 AND tool = ?2
       AND digest NOT IN (SELECT digest FROM pin WHERE connection = ?1 AND tool = ?2)
       AND digest NOT IN (SELECT newest FROM pin WHERE connection = ?1 AND tool = ?2)
       AND digest NOT IN (SELECT digest FROM shown WHERE connection = ?1 AND tool = ?2)`,
      connection,
      tool,
    );
  }
}

type Pin = { readonly digest: string; readonly newest: string };
type Other = { readonly digest: string; readonly until: number };
const pinOf = ({ digest, newest }: Record<string, SqlStorageValue>): Pin => ({
  digest: String(digest),
  newest: String(newest),
});
