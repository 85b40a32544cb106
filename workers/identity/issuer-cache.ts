/** The key sets of the configured issuers, kept for a while, fetched again seldom. */
import { Refusal } from "#durable/format/refusal.ts";
import type { Issuers } from "#workers/contract/issuers.ts";
import { KeySet } from "./key-set.ts";

/** How long a key set is used without asking again. A key that was withdrawn is honoured at most this long. */
export const FRESH_MS = 10 * 60_000;
/** How long it is used when the issuer does not answer. */
export const STALE_MS = 24 * 3_600_000;
/** Least time between two fetches from one issuer, whoever asks and whatever `kid` they send. */
export const REFETCH_MS = 30_000;
/** After so long a fetch that another request began counts as lost: its client may have gone. */
const FLIGHT_MS = 15_000;
const LOOK_MS = 20;

export type Known = {
  readonly keys: KeySet;
  /** Changes when the issuer's document does: what was verified under another one is verified again. */
  readonly generation: number;
};

type Slot = {
  known?: Known & { readonly text: string; readonly fetchedAt: number };
  attemptedAt: number;
  flying: boolean;
  failure?: unknown;
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class IssuerCache {
  readonly #source: Issuers;
  readonly #now: () => number;
  readonly #slots = new Map<number, Slot>();

  constructor(source: Issuers, now: () => number) {
    this.#source = source;
    this.#now = now;
  }

  /** The issuer's keys. Throws `Refusal("identity_unavailable")` when there are none, or none young enough. */
  async current(index: number): Promise<Known> {
    const slot = this.#slot(index);
    const { known } = slot;
    if (known && this.#now() - known.fetchedAt < FRESH_MS) return known;
    // A stale set is good enough while somebody else fetches, or when the issuer was asked just now.
    if (!known || this.#mayFetch(slot)) await this.#refresh(index, slot);
    return this.#usable(slot);
  }

  /** For a `kid` that `seen` does not know: a newer set when there is one to be had, else `seen`'s own. */
  async newer(index: number, seen: Known): Promise<Known> {
    const slot = this.#slot(index);
    if (slot.known?.generation === seen.generation) await this.#refresh(index, slot);
    return this.#usable(slot);
  }

  #slot(index: number): Slot {
    const found = this.#slots.get(index);
    if (found) return found;
    const made: Slot = { attemptedAt: Number.NEGATIVE_INFINITY, flying: false };
    this.#slots.set(index, made);
    return made;
  }

  #mayFetch(slot: Slot): boolean {
    const since = this.#now() - slot.attemptedAt;
    return slot.flying ? since >= FLIGHT_MS : since >= REFETCH_MS;
  }

  /**
   * Fetches, or waits for the fetch under way. Waiting is looking at the slot again after a pause: a promise of
   * another request cannot be awaited in workerd.
   */
  async #refresh(index: number, slot: Slot): Promise<void> {
    if (!this.#mayFetch(slot)) {
      const awaited = slot.attemptedAt;
      while (slot.flying && slot.attemptedAt === awaited && this.#now() - awaited < FLIGHT_MS)
        await pause(LOOK_MS);
      return;
    }
    const attempt = this.#now();
    slot.attemptedAt = attempt;
    slot.flying = true;
    try {
      const text = await this.#fetch(index);
      const known = slot.known;
      slot.known =
        known?.text === text
          ? { ...known, fetchedAt: this.#now() }
          : {
              keys: KeySet.parse(text),
              generation: (known?.generation ?? 0) + 1,
              text,
              fetchedAt: this.#now(),
            };
      delete slot.failure;
    } catch (cause) {
      slot.failure = cause;
    } finally {
      if (slot.attemptedAt === attempt) slot.flying = false;
    }
  }

  async #fetch(index: number): Promise<string> {
    const answer = await this.#source.jwks(index);
    if ("no" in answer) throw new Refusal(answer.no.code, answer.no.message);
    return answer.ok;
  }

  #usable(slot: Slot): Known {
    if (slot.known && this.#now() - slot.known.fetchedAt < STALE_MS) return slot.known;
    throw new Refusal(
      "identity_unavailable",
      "the identity provider cannot be reached: nobody can be known now",
      {
        cause: slot.failure ?? new Error("the issuer's keys were asked for and have not come yet"),
      },
    );
  }
}
