/** Tables of a Durable Object: an append-only list of SQL scripts, each applied once and remembered with its text. */

/** What is used of a Durable Object's `SqlStorage`. */
export interface Sql {
  exec(
    query: string,
    ...bindings: (string | number)[]
  ): { toArray(): Record<string, string | number | ArrayBuffer | null>[] };
}

/**
 * Brings the tables up to the list. Throws when a script that was applied is no longer in the list as it was, and when
 * the tables were made by a longer list (a newer build): then the object must not run.
 *
 * Call it without an `await` around it, where a throw stops the object (its constructor): the runtime commits writes
 * between awaits as one, so a crash leaves either the old tables or the new ones.
 */
export function migrate(sql: Sql, migrations: readonly string[]): void {
  sql.exec("CREATE TABLE IF NOT EXISTS migration(n INTEGER PRIMARY KEY, script TEXT NOT NULL)");
  const applied = sql.exec("SELECT n, script FROM migration ORDER BY n").toArray();
  if (applied.length > migrations.length) {
    throw new Error(`tables have ${applied.length} migrations and this build knows ${migrations.length}`);
  }
  for (const [n, script] of migrations.entries()) {
    const row = applied[n];
    if (row === undefined) {
      sql.exec(script);
      sql.exec("INSERT INTO migration(n, script) VALUES (?, ?)", n, script);
    } else if (row["n"] !== n || row["script"] !== script) {
      throw new Error(`migration ${n} was applied with another text: migrations are only ever added`);
    }
  }
}
