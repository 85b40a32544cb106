/** The policy set in force, kept in step with its directory. Reading, time and waiting are arguments. */
import type { Cedar } from "./cedar.ts";
import { type Decide, decider } from "./decide.ts";
import { closePolicySet, openPolicySet, type PolicySet } from "./set/policy-set.ts";
import { digestOf, type PolicyFile, type PolicyFinding } from "./set/source.ts";

/** What operators are told, one JSON line each. */
export type PolicyEvent =
  | { readonly code: "policy_loaded"; readonly set: string; readonly policies: number }
  | {
      readonly code: "policy_rejected";
      readonly kept: string | null;
      readonly errors: readonly PolicyFinding[];
    };

export type Surroundings = {
  readonly cedar: Cedar;
  /** Every policy file as it is now; throws when the directory cannot be read. */
  readonly read: () => Promise<readonly PolicyFile[]>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Resolves a moment later: long enough for a writer to write on. */
  readonly pause: () => Promise<void>;
  readonly report: (event: PolicyEvent) => void;
};

/** Reads before a directory that keeps changing is left for the next time. */
const READS_MAX = 5;

/**
 * Nothing here waits for another request: every call reads with what its own request handed in, so it may be
 * cancelled at any await. A late reader never replaces what a later one has already put in force.
 */
export class PoliciesInForce {
  readonly #pollMs: number;
  #set: PolicySet | undefined;
  #decide: Decide | undefined;
  #begun = Number.NEGATIVE_INFINITY;
  #checked = Number.NEGATIVE_INFINITY;
  #turns = 0;
  #settledTurn = 0;
  #rejected = "";

  constructor(pollMs: number) {
    this.#pollMs = pollMs;
  }

  /** Decides by the set in force; undefined when there has never been a good one. */
  get decide(): Decide | undefined {
    return this.#decide;
  }

  /**
   * `current`: decide. `due`: decide, and check the directory meanwhile (said to one caller for each interval).
   * `overdue`: check first, so that no decision is by a set that nobody has compared for two intervals.
   */
  freshness(now: number): "current" | "due" | "overdue" {
    const patience = this.#set ? 2 * this.#pollMs : this.#pollMs;
    if (now - this.#checked >= patience) return "overdue";
    if (now - this.#checked < this.#pollMs || now - this.#begun < this.#pollMs) return "current";
    this.#begun = now;
    return "due";
  }

  /** Compares the directory with the set in force and replaces it by a good new one. Never throws. */
  async check(around: Surroundings): Promise<void> {
    const turn = ++this.#turns;
    const began = around.now();
    try {
      const files = await settled(around, this.#set?.digest);
      const digest = await digestOf(files);
      if (turn < this.#settledTurn) return;
      if (digest === this.#set?.digest) this.#rejected = "";
      else if (digest !== this.#rejected) this.#adopt(around, files, digest);
    } catch (cause) {
      const message = `policies cannot be loaded: ${text(cause)}`;
      if (turn >= this.#settledTurn) this.#reject(around, message, [{ file: "", message }]);
    }
    if (turn < this.#settledTurn) return;
    this.#settledTurn = turn;
    this.#checked = began;
  }

  /** Without an await, so that no two sets change places at once. */
  #adopt(around: Surroundings, files: readonly PolicyFile[], digest: string): void {
    const opened = openPolicySet(around.cedar, files, digest);
    if ("errors" in opened) {
      this.#reject(around, digest, opened.errors);
      return;
    }
    if (this.#set) closePolicySet(this.#set);
    this.#set = opened.set;
    this.#decide = decider(around.cedar, opened.set);
    this.#rejected = "";
    around.report({ code: "policy_loaded", set: digest, policies: opened.set.policies.size });
  }

  /** The last good set stays in force. The same cause is reported once. */
  #reject(around: Surroundings, cause: string, errors: readonly PolicyFinding[]): void {
    if (this.#rejected === cause) return;
    this.#rejected = cause;
    around.report({ code: "policy_rejected", kept: this.#set?.digest ?? null, errors });
  }
}

/** Reads until two readings in a row agree, so that a half-written file is not taken for a set without its forbids. */
async function settled(around: Surroundings, current: string | undefined): Promise<readonly PolicyFile[]> {
  let last: string | undefined;
  let failure: unknown = new Error("they keep changing");
  for (let n = 0; n < READS_MAX; n++) {
    if (n > 0) await around.pause();
    try {
      const files = await around.read();
      const digest = await digestOf(files);
      if (digest === current || digest === last) return files;
      last = digest;
    } catch (cause) {
      failure = cause;
      last = undefined;
    }
  }
  throw failure;
}

const text = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
