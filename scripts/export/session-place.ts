/** The one session that a path names, as if it lay in an archive, wherever it does. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { openHead } from "#durable/proof/seal.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import type { Place } from "#scripts/verify/place.ts";

export type SessionPlace = { readonly session: SessionId; readonly source: Source };

/** `named` is what the user chose from an archive of many. Throws when there is none, or more than one to choose from. */
export async function sessionIn(place: Place, named: string | undefined): Promise<SessionPlace> {
  const wanted = named === undefined ? undefined : v.safeParse(SessionId, named);
  if (wanted && !wanted.success) throw new UsageFault("which session? its id begins with ses_");
  switch (place.kind) {
    case "archive": {
      const session = wanted?.output ?? place.only ?? (await onlySession(place.source));
      return { session, source: place.source };
    }
    case "bundle":
      throw new UsageFault("that is one head: give the session's folder, or the archive it is in");
    case "disclosed":
      throw new UsageFault("those are single frames: give the session's folder, or the archive it is in");
    case "folder": {
      const session = wanted?.output ?? place.session ?? (await sealedSession(place.source));
      return { session, source: within(place.source, sessionFolder(session)) };
    }
  }
}

/** The session of an archive that holds one, as `steno fetch` makes it. */
async function onlySession(source: Source): Promise<SessionId> {
  const names = new Set<string>();
  for await (const key of source.list("sessions/")) {
    names.add(/\/(ses_[^/]+)\/[^/]+$/.exec(key)?.[1] ?? "");
    if (names.size > 1) throw new UsageFault("there is more than one session: say which with --session ID");
  }
  const parsed = v.safeParse(SessionId, [...names][0]);
  if (!parsed.success) throw new Error("there is no session");
  return parsed.output;
}

async function sealedSession(source: Source): Promise<SessionId> {
  const seal = await source.get(SEAL_NAME);
  const session = seal && (await openHead(seal, undefined)).statement?.predicate.session;
  if (!session)
    throw new UsageFault("the seal does not say whose it is: say which session with --session ID");
  return session;
}

/** A session's folder on its own, read as if it lay in an archive. */
function within(source: Source, folder: string): Source {
  const inner = (key: string) => (key.startsWith(folder) ? key.slice(folder.length) : key);
  return {
    get: (key) => source.get(inner(key)),
    stat: (key) => source.stat(inner(key)),
    async *list(prefix) {
      if (!prefix.startsWith(folder)) yield* source.list(prefix);
      else
        for await (const key of source.list(prefix.slice(folder.length)))
          if (!key.includes("/")) yield `${folder}${key}`;
    },
  };
}
