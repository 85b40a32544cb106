/** What a client asks for in several rounds, as a fetch does while it finds out what it lacks, is one thing to whoever approves it. */
import type { HoldNews } from "./approval.ts";

/** How long after its release the same may be asked for again. */
const ROUNDS_MS = 10 * 60_000;

/** Whether what was released is good for another round. `now` in milliseconds since 1970. */
export function passesAgain({ state, events }: Pick<HoldNews, "state" | "events">, now: number): boolean {
  const release = events.find(({ step }) => step === "release");
  const revoked = events.some(({ step }) => step === "revoke");
  return (
    state === "released" && !revoked && release !== undefined && now < Date.parse(release.at) + ROUNDS_MS
  );
}
