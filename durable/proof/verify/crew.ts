/** Who helps to verify an archive: whole sessions are given away, and the segments of large ones one by one. */
import type { Context, Progress, Seed } from "./context.ts";
import type { SessionSize } from "./ledger.ts";
import { type SessionPlace, type SessionVerified, verifyApart } from "./session.ts";
import { type Examined, examineSegment, type SegmentTask } from "./tape/examine.ts";

/** Made for one archive: tasks may be given to it before others are done. */
export type Gather = (seed: Seed) => Crew;

export type Crew = {
  /** How many tasks it works on at once. */
  readonly width: number;
  readonly session: (place: SessionPlace) => Promise<SessionVerified>;
  readonly segment: (task: SegmentTask) => Promise<Examined>;
};

/** A session of as many frames segments is spread over the crew; smaller ones are given away whole. */
const LARGE = 4;
/** What is less than this, stored, is done before a crew has come together. */
const WORTH_BYTES = 256 * 1024;
const WORTH_SESSIONS = 32;

export const isWorthwhile = (sizes: readonly SessionSize[]): boolean =>
  sizes.length >= WORTH_SESSIONS || sizes.reduce((sum, { bytes }) => sum + bytes, 0) >= WORTH_BYTES;

/** Without a crew all of it is done here. */
export function verifyBy(
  crew: Crew | undefined,
  context: Context,
  place: SessionPlace,
  { segments }: SessionSize,
  meter: Meter,
): Promise<SessionVerified> {
  if (crew && segments < LARGE) return crew.session(place);
  const examine = async (task: SegmentTask) => {
    const examined = await (crew ? crew.segment(task) : examineSegment(context.source, task, context.open));
    meter.count(task.entry.bytes, place);
    return examined;
  };
  return verifyApart(context.source, context, place, { examine, width: crew ? crew.width + 1 : 1 });
}

/** How much of the sessions' stored bytes is done. */
export class Meter {
  readonly #of: number;
  readonly #progress: Progress | undefined;
  readonly #counted = new WeakMap<SessionPlace, number>();
  #done = 0;

  constructor(of: number, progress: Progress | undefined) {
    this.#of = of;
    this.#progress = progress;
  }

  /** `bytes` of a session are done; or all of it, of which some were counted before. */
  count(bytes: number, place: SessionPlace): void {
    const before = this.#counted.get(place) ?? 0;
    this.#counted.set(place, before + bytes);
    this.#done += bytes;
    this.#progress?.({ what: "sessions", done: Math.min(this.#done, this.#of), of: this.#of });
  }

  finish(bytes: number, place: SessionPlace): void {
    this.count(bytes - (this.#counted.get(place) ?? 0), place);
  }
}
