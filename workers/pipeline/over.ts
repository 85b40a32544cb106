/** What ends an exchange from outside while it is under way: a kill, or a revocation, cuts also what waits for a silent upstream. */
import type { HoldNews } from "#durable/format/approval/approval.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { granted } from "#workers/wire/problem.ts";
import type { Means } from "./exchange.ts";

/** Exchanges that are done sooner do not ask. */
const WATCH_MS = 1_000;
const NEWS_MS = 25_000;

type Watched = { readonly session: SessionId; readonly rests?: HoldNews };

/** Rejects `ended` when the session is over, or what the exchange was let through by is revoked. */
export function watch(watched: Watched, means: Means): { ended: Promise<never>; stop: () => void } {
  const { session, rests } = watched;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  const ended = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      means.append
        .ended(session)
        .then((reason) => reject(new Refusal("session_ended", `the session ended (${reason})`)), reject);
      if (rests) revoked(rests, () => stopped, means).catch(reject);
    }, WATCH_MS);
  });
  // Nobody may be waiting when it rejects: the exchange has ended then, and the rejection says nothing new.
  ended.catch(() => undefined);
  return {
    ended,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** Returns when nobody asks any more. */
async function revoked({ approval, events }: HoldNews, stopped: () => boolean, means: Means): Promise<void> {
  for (let seen = events.length; !stopped(); ) {
    const news = granted(await means.hold.wait(approval, seen, NEWS_MS));
    seen = news.events.length;
    const last = news.events.find(({ step }) => step === "revoke");
    if (last)
      throw new Refusal("approval_over", `what it was approved by in advance was revoked (${approval})`);
  }
}
