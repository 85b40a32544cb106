/**
 * Whether sessions write at the same time. Those that do share a commit through the journal; one that writes alone has
 * nothing to share, and saves the calls that lead there and back.
 */
import type { SessionId } from "#durable/format/ids.ts";

/** Sessions that write within so many milliseconds of each other are together. */
const TOGETHER_MS = 100;

type Written = { readonly session: SessionId; readonly at: number };

export class Crowd {
  #newest: Written | undefined;
  /** The newest of another session than that. */
  #other: Written | undefined;

  /** A session writes at `at`, in milliseconds; whether another one did just before. */
  joins(session: SessionId, at: number): boolean {
    if (this.#newest && this.#newest.session !== session) this.#other = this.#newest;
    this.#newest = { session, at };
    return this.#other !== undefined && at - this.#other.at < TOGETHER_MS;
  }
}
