/** When work that must happen at least once is tried again from a Durable Object's alarm. Pure. */

const SHORTEST_MS = 500;
const LONGEST_MS = 60_000;

/**
 * Milliseconds until the next attempt: exponential from 0.5 s, at most 60 s. `attempt` counts failures (0 and 1 both
 * mean the first); `random` in [0, 1) takes away up to half, so that objects which failed together do not return
 * together. Never below 0.5 s.
 */
export function nextDelay(attempt: number, random: number): number {
  const full = Math.min(LONGEST_MS, SHORTEST_MS * 2 ** Math.max(0, attempt - 1));
  return Math.max(SHORTEST_MS, Math.round(full * (1 - random / 2)));
}
