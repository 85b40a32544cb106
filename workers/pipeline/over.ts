/** The end of a session, for exchanges that are under way: a kill cuts also what waits for a silent upstream. */
import type { SessionId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Means } from "./exchange.ts";

/** Exchanges that are done sooner do not ask. */
const WATCH_MS = 1_000;

/** Rejects `ended` when the session is over. */
export function watch(session: SessionId, means: Means): { ended: Promise<never>; stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ended = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      means.append
        .ended(session)
        .then((reason) => reject(new Refusal("session_ended", `the session ended (${reason})`)), reject);
    }, WATCH_MS);
  });
  // Nobody may be waiting when it rejects: the exchange has ended then, and the rejection says nothing new.
  ended.catch(() => undefined);
  return { ended, stop: () => clearTimeout(timer) };
}
