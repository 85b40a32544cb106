/** Gives up on what takes too long: the runtime waits for a stalled stream for ever. */
import { Refusal } from "#durable/format/refusal.ts";

/** What `work` gives, or the refusal that `late` makes when that is not there after `seconds`. */
export async function inTime<T>(
  work: Promise<T>,
  seconds: number,
  late: (seconds: number) => Refusal,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late(seconds)), seconds * 1000);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}

export const bodyStalled = (seconds: number): Refusal =>
  new Refusal("malformed", `the request's body sent nothing for ${seconds} s`);

export const upstreamSilent = (seconds: number): Refusal =>
  new Refusal("upstream_timeout", `the upstream sent nothing for ${seconds} s`);

export const upstreamFull = (seconds: number): Refusal =>
  new Refusal("upstream_timeout", `the upstream took nothing for ${seconds} s`);
