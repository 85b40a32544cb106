/** Sessions that MCP servers have opened, and for whom: their ids come back with every request, and are no proof of anything. */

/** Ids and people are the node's keyed digests. */
export const SERVER_SESSIONS_MIGRATION =
  "CREATE TABLE server_session(id TEXT PRIMARY KEY, who TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID; CREATE INDEX server_session_used ON server_session(used);";

/** Not used for so long, it has to be opened anew. */
const KEPT_MS = 30 * 24 * 3_600_000;
/** Beyond them the one not used for longest goes. */
const SESSIONS_MAX = 100_000;
/** How exactly is remembered when it was used. */
const USED_MS = 3_600_000;

export class ServerSessions {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The first one to be given it keeps it: a server that gives one id to two people has one session, and that is the first's. */
  opened(id: string, who: string, now: number): void {
    this.#sql.exec("DELETE FROM server_session WHERE used <= ?", now - KEPT_MS);
    this.#sql.exec(
      `DELETE FROM server_session WHERE id IN (SELECT id FROM server_session ORDER BY used DESC LIMIT -1 OFFSET ${SESSIONS_MAX - 1})`,
    );
    this.#sql.exec("INSERT OR IGNORE INTO server_session VALUES (?, ?, ?)", id, who, now);
  }

  isOwn(id: string, who: string, now: number): boolean {
    const [row] = this.#sql.exec("SELECT who, used FROM server_session WHERE id = ?", id).toArray();
    if (!row || row["who"] !== who || Number(row["used"]) <= now - KEPT_MS) return false;
    if (Number(row["used"]) + USED_MS < now)
      this.#sql.exec("UPDATE server_session SET used = ? WHERE id = ?", now, id);
    return true;
  }
}
