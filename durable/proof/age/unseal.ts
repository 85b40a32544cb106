/** From an auditor's identities to what opens the segments of each session: `key.age`, then the session's own key. */
import type { SessionId } from "#durable/format/ids.ts";
import { sessionKey } from "#durable/format/layout.ts";
import { readUtf8 } from "../bytes.ts";
import type { Source } from "../read/source.ts";
import type { OpenWith, Unsealing } from "../read/unsealed.ts";
import { openFile, readIdentities } from "./open.ts";
import { AgeUnreadable } from "./unreadable.ts";

/** A session's own identities to what opens its segments. */
export const openWith: OpenWith = (own) => (stored) => openFile(stored, own);

/** `keys` holds `keys/<session>.key.age`. */
export const unsealWith = (keys: Pick<Source, "get">, identities: readonly string[]): Unsealing => ({
  keyOf: (session) => openSessionKey(keys, session, identities),
  open: openWith,
});

/** The session's own identities; undefined when its key is not there. Throws `AgeUnreadable`. */
export async function openSessionKey(
  keys: Pick<Source, "get">,
  session: SessionId,
  identities: readonly string[],
): Promise<readonly string[] | undefined> {
  const wrapped = await keys.get(sessionKey(session));
  if (!wrapped) return undefined;
  const text = readUtf8(await openFile(wrapped, identities));
  if (text === undefined) throw new AgeUnreadable(`${sessionKey(session)} does not hold text`);
  return readIdentities(text);
}
