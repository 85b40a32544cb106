/** A session as it is shown. */
import { asPseudonym } from "#durable/format/principal.ts";
import type { SessionView } from "#durable/format/tape.ts";
import type { Tally } from "#durable/store/frame-writer.ts";
import type { SessionRows } from "#durable/store/session-rows.ts";
import type { Ending, Opened } from "./life.ts";

/** The root that was sealed; of an encrypted session also whose it was, which nothing else on the node says any more. */
export type Sealed = { readonly root: string; readonly pseudonym?: string };

export function viewOf(
  opened: Opened,
  ending: Ending | undefined,
  tally: Tally,
  rows: SessionRows,
): SessionView {
  const { frames, exchanges, denied, c2s, s2c } = tally;
  const sealed = rows.fact<Sealed>("sealed");
  const { pseudonym } = sealed ?? {};
  const { principal, client, conversation } =
    pseudonym === undefined
      ? opened.opening
      : { principal: asPseudonym(pseudonym), client: "", conversation: undefined };
  return {
    session: opened.session,
    status: sealed ? "sealed" : ending ? "closing" : "open",
    principal,
    client,
    ...(conversation === undefined ? {} : { conversation }),
    openedAt: new Date(opened.at).toISOString(),
    ...(ending && { endedAt: new Date(ending.at).toISOString(), reason: ending.reason }),
    frames,
    exchanges,
    denied,
    bytes: c2s + s2c,
    backlog: rows.backlog(),
    ...(sealed && { root: sealed.root }),
  };
}
