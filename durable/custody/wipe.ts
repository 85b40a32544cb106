/** What stays of an encrypted session on the node after its seal: that there was one, how long it was, and no more. */
import { asPseudonym } from "#durable/format/principal.ts";
import { migrate } from "#durable/store/migrations.ts";
import { SESSION_MIGRATIONS, type SessionRows } from "#durable/store/session-rows.ts";
import { sessionKeyOf } from "./session-key.ts";

type Seen = { readonly opening: object };
type Counted = { readonly live: object };

/** Of a session whose objects are all in the archive and whose key is in its store. */
export const isWiped = (rows: SessionRows): boolean => rows.fact("wiped") === true;

/**
 * Deletes the object's database, its free pages and its log with it, and writes the few facts that stay into a new one:
 * SQLite keeps what was deleted until its space is used again, and `secure_delete` cannot be set in workerd.
 *
 * A crash in between leaves an empty object; the directory, which was told before, has what is known of the session.
 */
export async function wipe(
  storage: DurableObjectStorage,
  rows: SessionRows,
  pseudonym: string,
): Promise<void> {
  const opened = rows.fact<Seen>("opened");
  const tally = rows.fact<Counted>("tally");
  const key = sessionKeyOf(rows);
  const opening = { principal: asPseudonym(pseudonym), client: "" };
  const facts = {
    opened: { ...opened, opening },
    ending: rows.fact("ending"),
    sealed: rows.fact("sealed"),
    tally: { ...tally, live: {} },
    range: rows.fact("range"),
    key: key && { recipient: key.recipient },
    wiped: true,
  };
  await storage.deleteAll();
  migrate(storage.sql, SESSION_MIGRATIONS);
  for (const [name, value] of Object.entries(facts)) if (value !== undefined) rows.setFact(name, value);
  await storage.sync();
}
