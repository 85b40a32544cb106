/** The journal of all sessions as one of them sees it. */
import { closeLines, openLines } from "#durable/custody/session-key.ts";
import type { SessionId } from "#durable/format/ids.ts";
import type { SessionRows } from "#durable/store/session-rows.ts";
import type { Means } from "../means.ts";
import type { OwnJournal } from "../session-tape.ts";

/** It keeps the lines of an encrypted session encrypted: they outlive the session there, in what SQLite has freed. */
export function ownJournal(
  { journal, crowd, now, random }: Pick<Means, "journal" | "crowd" | "now" | "random">,
  session: SessionId,
  rows: SessionRows,
): OwnJournal {
  return {
    shares: () => crowd.joins(session, now()),
    append: (batch) => journal.append(session, { ...batch, lines: closeLines(rows, batch.lines, random) }),
    async batches() {
      const batches = await journal.batches(session);
      return batches.map((batch) => ({ ...batch, lines: openLines(rows, batch.lines) }));
    },
    forget: (below) => journal.forget(session, below),
    drop: (from) => journal.drop(session, from),
  };
}
