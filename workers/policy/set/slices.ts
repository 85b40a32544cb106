/** The parts of a policy set that questions are asked of: Cedar's work grows with the policies it is shown, so it is shown few. */
import type { Answer, Cedar } from "../cedar.ts";
import type { Policy } from "./policy-set.ts";
import type { Around } from "./scope.ts";
import { inScope } from "./scope.ts";

export type Slice = {
  /** Cedar holds it under this name; undefined when no policy is in it, and nothing need be asked. */
  readonly name: string | undefined;
  /** Members of the context that its policies mention; undefined: all of them. */
  readonly reads: ReadonlySet<string> | undefined;
  /** What was answered to what was asked of them, all that they can read of it: questions differ in much that nobody reads. */
  readonly answers: Map<string, Answer>;
};

/** Slices Cedar holds at once for one set. The one not asked for longest goes first. */
const SLICES_MAX = 256;

export class Slices {
  readonly #cedar: Cedar;
  readonly #digest: string;
  readonly #policies: readonly Policy[];
  readonly #held = new Map<string, Slice>();
  #closed = false;

  constructor(cedar: Cedar, digest: string, policies: readonly Policy[]) {
    this.#cedar = cedar;
    this.#digest = digest;
    this.#policies = policies;
  }

  /** The policies whose scope the question is in; `lifted`: without the forbids that approval lifts. Undefined once closed. */
  of(around: Around, lifted: boolean): Slice | undefined {
    if (this.#closed) return undefined;
    const among = this.#policies.map((policy) => !(lifted && policy.hold) && inScope(policy.scope, around));
    const bits = bitsOf(among);
    const known = this.#held.get(bits);
    if (known) {
      this.#held.delete(bits);
      this.#held.set(bits, known);
      return known;
    }
    return this.#hold(
      bits,
      this.#policies.filter((_, n) => among[n]),
    );
  }

  /** Lets Cedar forget them. */
  close(): void {
    this.#closed = true;
    for (const { name } of this.#held.values()) this.#forget(name);
    this.#held.clear();
  }

  #hold(bits: string, policies: readonly Policy[]): Slice {
    const name = policies.length === 0 ? undefined : `${this.#digest} ${bits}`;
    if (name !== undefined) {
      const staticPolicies = Object.fromEntries(policies.map(({ id, text }) => [id, text]));
      const kept = this.#cedar.preparsePolicySet(name, { staticPolicies });
      if (kept.type === "failure") throw new Error(kept.errors[0]?.message ?? "the policies do not parse");
    }
    const reads = policies.some((policy) => policy.reads === undefined)
      ? undefined
      : new Set(policies.flatMap((policy) => [...(policy.reads ?? [])]));
    const slice = { name, reads, answers: new Map<string, Answer>() };
    this.#held.set(bits, slice);
    if (this.#held.size > SLICES_MAX) {
      const [oldest = "", first] = this.#held.entries().next().value ?? [];
      this.#held.delete(oldest);
      this.#forget(first?.name);
    }
    return slice;
  }

  #forget(name: string | undefined): void {
    if (name !== undefined) this.#cedar.preparsePolicySet(name, { staticPolicies: {} });
  }
}

/** One letter for four policies. */
function bitsOf(among: readonly boolean[]): string {
  let text = "";
  for (let n = 0; n < among.length; n += 4)
    text += (
      (among[n] ? 1 : 0) +
      (among[n + 1] ? 2 : 0) +
      (among[n + 2] ? 4 : 0) +
      (among[n + 3] ? 8 : 0)
    ).toString(16);
  return text;
}
