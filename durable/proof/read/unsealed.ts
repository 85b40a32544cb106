/** What opens the segments of an encrypted session, as readers need it. Who holds keys decides how (`../age`). */
import type { SegmentEntry } from "#durable/format/head.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { AgeUnreadable } from "../age/unreadable.ts";
import type { Bytes } from "../bytes.ts";

/** A stored segment as it was before it was encrypted. Throws `AgeUnreadable`. */
export type Unsealed = (stored: Bytes) => Promise<Bytes>;
/** From a session's own identities to what opens its segments. */
export type OpenWith = (own: readonly string[]) => Unsealed;
/** What an auditor's identity gives: a session's own identities, and what opens segments with them. */
export type Unsealing = {
  /** Undefined when the session's key is not there. Throws `AgeUnreadable` when it is not for the reader. */
  readonly keyOf: (session: SessionId) => Promise<readonly string[] | undefined>;
  readonly open: OpenWith;
};

export const isSealed = ({ name }: SegmentEntry): boolean => name.endsWith(".age");

/** The segment in clear, or why it cannot be had; undefined when there is nothing to open it with. */
export async function inClear(
  entry: SegmentEntry,
  stored: Bytes,
  unsealed: Unsealed | undefined,
): Promise<Bytes | string | undefined> {
  if (!isSealed(entry)) return stored;
  if (!unsealed) return undefined;
  try {
    return await unsealed(stored);
  } catch (error) {
    if (!(error instanceof AgeUnreadable)) throw error;
    return `cannot be decrypted with the session's key: ${error.message}`;
  }
}
