/** How many refusals of unknown callers a node records: a flood of bad tokens must not fill its disk. */
const PER_SECOND = 5;
const BURST = 50;

let tokens = BURST;
let filled = 0;
let dropped = 0;

/** Undefined when this one is only counted; otherwise how many were only counted before it. `now` in milliseconds. */
export function admitRefusal(now: number): { readonly dropped: number } | undefined {
  tokens = Math.min(BURST, tokens + ((now - filled) / 1000) * PER_SECOND);
  filled = now;
  if (tokens < 1) {
    dropped += 1;
    return undefined;
  }
  tokens -= 1;
  const before = dropped;
  dropped = 0;
  return { dropped: before };
}
