/** The decrypted half of `steno fetch --identity`: a session's segments as they were before they were encrypted. */
import type { SessionId } from "#durable/format/ids.ts";
import { SEGMENT_NAME, sessionFolder, sessionKey } from "#durable/format/layout.ts";
import { AgeUnreadable } from "#durable/proof/age/unreadable.ts";
import { openSessionKey, openWith } from "#durable/proof/age/unseal.ts";
import type { Bytes } from "#durable/proof/bytes.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { error, type Finding } from "#scripts/config/finding.ts";

/** Below the directory that was fetched into: apart from the evidence, which stays as it is stored. */
const clearFolder = (session: SessionId): string => `clear/${session}/`;

export type Keep = (path: string, bytes: Bytes) => Promise<number | Finding>;

/**
 * Keeps `key.age`, so that what was fetched can be verified again, and every encrypted segment in clear, compressed as it
 * was. Both outlive an erasure wherever they are kept.
 */
export async function keepInClear(
  evidence: Source,
  wrapped: Bytes | undefined,
  session: SessionId,
  identities: readonly string[],
  keep: Keep,
): Promise<{ readonly kept: number; readonly findings: readonly Finding[] }> {
  const key = sessionKey(session);
  if (!wrapped) return { kept: 0, findings: [error(key, "is not in its store: the session cannot be read")] };
  const findings: Finding[] = [];
  let kept = 0;
  const take = (outcome: number | Finding) => {
    if (typeof outcome === "number") kept += 1;
    else findings.push(outcome);
  };
  try {
    const own = await openSessionKey({ get: async () => wrapped }, session, identities);
    const unsealed = own && openWith(own);
    take(await keep(key, wrapped));
    const folder = sessionFolder(session);
    for await (const object of evidence.list(folder)) {
      const name = object.slice(folder.length);
      const stored =
        SEGMENT_NAME.test(name) && name.endsWith(".age") ? await evidence.get(object) : undefined;
      if (!stored || !unsealed) continue;
      take(await keep(clearFolder(session) + name.replace(/\.age$/, ""), await unsealed(stored)));
    }
  } catch (cause) {
    if (!(cause instanceof AgeUnreadable)) throw cause;
    findings.push(error(key, cause.message));
  }
  return { kept, findings };
}
