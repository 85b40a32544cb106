/** When a session does something by itself. */
import type { Tally } from "#durable/store/frame-writer.ts";
import type { Means } from "../means.ts";
import type { SessionTape } from "../session-tape.ts";
import type { Opened } from "./life.ts";

type Clock = Pick<Means, "limits" | "now">;

/** When it is looked after next, in milliseconds since 1970: its end by time, or what is cut or signed before that. */
export function nextDue({ at, opening }: Opened, tally: Tally, { limits, now }: Clock): number {
  const soon = now() + Math.min(limits.headSeconds, limits.cutSeconds) * 1000;
  const due = Math.min(lastOf({ at, opening }, limits), tally.at + limits.idleSeconds * 1000, soon);
  return Math.max(due, now() + 50);
}

/** When a session ends however it is used, in milliseconds since 1970. */
export const lastOf = (
  { at, opening }: Pick<Opened, "at" | "opening">,
  { maxSeconds }: Clock["limits"],
): number => at + Math.min(maxSeconds, opening.maxSeconds ?? maxSeconds) * 1000;

/** Cuts segments that are old, although they are not full. */
export function cutByTime(tape: SessionTape, { limits, now }: Clock): void {
  const { framesSince, framesSize, bytesSince, bytesSize } = tape.tally;
  const old = (since: number, size: number) => size > 0 && now() >= since + limits.cutSeconds * 1000;
  const frames = old(framesSince, framesSize);
  const bytes = old(bytesSince, bytesSize);
  if (frames) tape.cut("frames");
  if (bytes) tape.cut("bytes");
  if (frames || bytes) tape.save();
}
