/** Counts what exchanges use against the budgets of whoever asks. Costs nothing where no budget is configured. */

import type { Spent } from "#durable/budget/spent.ts";
import { type Budget, budgetsFor } from "#durable/format/budget/budget.ts";
import type { Content } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Purse } from "#durable/stubs.ts";

/** Who it is, not their object's stub: that belongs to the call it was made in. */
type Metered = { readonly principal: Principal; readonly budgets: readonly Budget[]; bytes: number };

/** Bytes of a body that is still under way are charged in portions. */
const PORTION = 8 * 1024 * 1024;

export class Meter {
  readonly #budgets: readonly Budget[];
  readonly #purseOf: (principal: Principal) => Purse;
  readonly #under = new Map<ExchangeId, Metered>();

  constructor(budgets: readonly Budget[], purseOf: (principal: Principal) => Purse) {
    this.#budgets = budgets;
    this.#purseOf = purseOf;
  }

  /** Counts an exchange that policy let through. Says what is spent, where something is: then it must not begin. */
  async begin(
    x: ExchangeId,
    principal: Principal,
    counted: { readonly connection: string; readonly operation: string },
  ): Promise<Spent | undefined> {
    if (this.#budgets.length === 0) return undefined;
    const budgets = budgetsFor(this.#budgets, { groups: principal.groups, ...counted });
    if (budgets.length === 0) return undefined;
    const spent = await this.#purseOf(principal).take(x, budgets);
    if (!spent) this.#under.set(x, { principal, budgets, bytes: 0 });
    return spent;
  }

  /** How long a session of this principal may last, where a budget says so. */
  bounds({ groups }: Principal): { readonly maxSeconds?: number } {
    const own = this.#budgets.filter(({ group }) => group === undefined || groups.includes(group));
    const bounds = own.flatMap(({ sessionSeconds }) => sessionSeconds ?? []);
    return bounds.length === 0 ? {} : { maxSeconds: Math.min(...bounds) };
  }

  async used(x: ExchangeId, bytes: number): Promise<void> {
    const metered = this.#under.get(x);
    if (!metered) return;
    metered.bytes += bytes;
    if (metered.bytes < PORTION) return;
    const portion = metered.bytes;
    metered.bytes = 0;
    const { principal, budgets } = metered;
    await this.#purseOf(principal).charge(x, budgets, { requests: 0, bytes: portion, tokens: 0 }, false);
  }

  /** It did not begin after all, and counts for nothing. */
  async undo(x: ExchangeId): Promise<void> {
    const metered = this.#under.get(x);
    if (!metered) return;
    this.#under.delete(x);
    const { principal, budgets } = metered;
    await this.#purseOf(principal).charge(x, budgets, { requests: -1, bytes: 0, tokens: 0 }, true);
  }

  /** The exchange is over; `content` says what a model's answer used. */
  async end(x: ExchangeId, content: readonly Content[] = []): Promise<void> {
    const metered = this.#under.get(x);
    if (!metered) return;
    this.#under.delete(x);
    const { principal, budgets, bytes } = metered;
    await this.#purseOf(principal).charge(
      x,
      budgets,
      { requests: 0, bytes, tokens: tokensIn(content) },
      true,
    );
  }
}

function tokensIn(content: readonly Content[]): number {
  const answers = content.flatMap((frame) => (frame.k === "llm" && frame.dir === "s2c" ? [frame] : []));
  return answers.reduce((sum, { usage }) => sum + (usage?.input ?? 0) + (usage?.output ?? 0), 0);
}

const THINGS = {
  requests: "requests",
  bytes: "bytes",
  tokens: "tokens",
  concurrent: "requests at once",
} as const;

export const spentSentence = ({ budget, what, later }: Spent): string =>
  `the budget "${budget}" has no ${THINGS[what]} left: try again in ${later} s`;
