/** A sliding window over amounts: what is used now, and when there is room again. Pure. */

export type Amounts = { readonly requests: number; readonly bytes: number; readonly tokens: number };
/** Two windows side by side: the one that is filling, and the one before it. `at` is the number of the former. */
export type Window = { readonly at: number; readonly current: Amounts; readonly before: Amounts };

export const NOTHING: Amounts = { requests: 0, bytes: 0, tokens: 0 };

/** `now` and `length` in milliseconds. */
export function moved(window: Window | undefined, length: number, now: number): Window {
  const at = Math.floor(now / length);
  if (!window || at - window.at > 1 || at < window.at) return { at, current: NOTHING, before: NOTHING };
  return at === window.at ? window : { at, current: NOTHING, before: window.current };
}

export const added = (window: Window, { requests, bytes, tokens }: Amounts): Window => ({
  ...window,
  current: {
    requests: window.current.requests + requests,
    bytes: window.current.bytes + bytes,
    tokens: window.current.tokens + tokens,
  },
});

/**
 * Milliseconds until one more may be used of `limit`, 0 when it may now. What was used in the window before counts by the
 * share of it that still lies within the sliding window.
 */
export function wait(current: number, before: number, limit: number, length: number, now: number): number {
  const gone = (now % length) / length;
  const room = limit - 1;
  if (before * (1 - gone) + current <= room) return 0;
  if (current <= room) return Math.ceil((1 - (room - current) / before - gone) * length);
  // The current window becomes the one before, and has to leave by as much as it has too many.
  return Math.ceil((1 - gone + (1 - room / current)) * length);
}
