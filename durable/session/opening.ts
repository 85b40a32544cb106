/** How a session begins. */
import { newSessionKey, type SessionKeyFact } from "#durable/custody/session-key.ts";
import type { SessionStart } from "#durable/format/frame.ts";
import type { Means } from "../means.ts";
import type { Opened } from "./life.ts";

export function startFrame({ session, opening, notBefore }: Opened): SessionStart {
  const { principal, client, conversation } = opening;
  const known = { ...(conversation !== undefined && { conversation }), ...(notBefore && { notBefore }) };
  return { k: "session.start", session, principal, client, ...known };
}

/** The key of a session that is to be encrypted. Throws for one that was sealed before. */
export async function keyFor(
  { session }: Opened,
  { encryptTo, random, directory }: Means,
): Promise<SessionKeyFact | undefined> {
  if (encryptTo.length === 0) return undefined;
  // A crash while an earlier life was wiped leaves an empty object: it must not begin again.
  if ((await directory.find(session))?.view.status === "sealed") throw new Error(`${session} is sealed`);
  return newSessionKey(encryptTo, random);
}
