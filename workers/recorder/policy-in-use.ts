/** Tells the ledger which policy sets decisions are made with, without asking it at every exchange. */
import type { SessionId } from "#durable/format/ids.ts";
import type { Means } from "#durable/means.ts";

/** A set that is in use is told again after this: one that came back is then seen to have. */
const TELL_AGAIN_MS = 30_000;
const SETS_MAX = 64;
const told = new Map<string, number>();

/** Returns when the log knows of the set. Throws when it cannot be told. */
export async function policyInUse(
  { ledger, now }: Pick<Means, "ledger" | "now">,
  set: string,
  session: SessionId,
): Promise<void> {
  if (now() < (told.get(set) ?? Number.NEGATIVE_INFINITY) + TELL_AGAIN_MS) return;
  await ledger.policy(set, session);
  if (told.size >= SETS_MAX) told.clear();
  told.set(set, now());
}
