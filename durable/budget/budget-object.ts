/** BudgetObject: what one principal has used of its budgets. One object a principal, in the recorder. */
import { DurableObject } from "cloudflare:workers";
import type { Budget } from "#durable/format/budget/budget.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import { migrate } from "#durable/store/migrations.ts";
import type { Means } from "../means.ts";
import type { Spent } from "./spent.ts";
import { type Amounts, added, moved, NOTHING, type Window, wait } from "./window.ts";

/** Counts are written down this often: a crash forgets at most so much, and no exchange waits for a disk. */
const SAVE_MS = 5_000;
/** An exchange that never said that it is over; none lasts as long. */
const LOST_MS = 24 * 3_600_000;

const MIGRATIONS = ["CREATE TABLE used(budget TEXT PRIMARY KEY, usage TEXT NOT NULL) WITHOUT ROWID"];

export abstract class BudgetObject extends DurableObject {
  protected abstract readonly means: Pick<Means, "now">;
  readonly #windows = new Map<string, Window>();
  /** By budget, the exchanges under way and when they began. */
  readonly #live = new Map<string, Map<ExchangeId, number>>();
  readonly #unsaved = new Set<string>();

  protected load(): void {
    const { sql } = this.ctx.storage;
    migrate(sql, MIGRATIONS);
    for (const { budget, usage } of sql.exec("SELECT budget, usage FROM used"))
      this.#windows.set(String(budget), JSON.parse(String(usage)) as Window);
  }

  /** Lets an exchange begin and counts it in all of the budgets, or in none. */
  async take(x: ExchangeId, budgets: readonly Budget[]): Promise<Spent | undefined> {
    const now = this.means.now();
    for (const budget of budgets) {
      const spent = this.#spent(budget, now);
      if (spent) return spent;
    }
    for (const budget of budgets) {
      this.#add(budget, { ...NOTHING, requests: 1 });
      const live = this.#live.get(budget.name) ?? new Map<ExchangeId, number>();
      live.set(x, now);
      this.#live.set(budget.name, live);
    }
    await this.#saveSoon();
    return undefined;
  }

  /** Counts what an exchange used, or takes back what `take` counted. With `over` it is under way no more. */
  async charge(x: ExchangeId, budgets: readonly Budget[], used: Amounts, over: boolean): Promise<void> {
    for (const budget of budgets) {
      this.#add(budget, used);
      if (over) this.#live.get(budget.name)?.delete(x);
    }
    await this.#saveSoon();
  }

  override async alarm(): Promise<void> {
    for (const name of this.#unsaved) {
      const usage = JSON.stringify(this.#windows.get(name));
      this.ctx.storage.sql.exec("INSERT OR REPLACE INTO used VALUES (?, ?)", name, usage);
    }
    this.#unsaved.clear();
  }

  #spent({ name, windowSeconds, ...limits }: Budget, now: number): Spent | undefined {
    const live = this.#live.get(name);
    for (const [x, since] of live ?? []) if (now - since > LOST_MS) live?.delete(x);
    if (limits.concurrent !== undefined && (live?.size ?? 0) >= limits.concurrent)
      return { budget: name, what: "concurrent", later: 1 };
    const length = windowSeconds * 1000;
    const { current, before } = moved(this.#windows.get(name), length, now);
    for (const what of ["requests", "bytes", "tokens"] as const) {
      const limit = limits[what];
      if (limit === undefined) continue;
      const ms = wait(current[what], before[what], limit, length, now);
      if (ms > 0) return { budget: name, what, later: Math.ceil(ms / 1000) };
    }
    return undefined;
  }

  #add({ name, windowSeconds }: Budget, amounts: Amounts): void {
    const window = moved(this.#windows.get(name), windowSeconds * 1000, this.means.now());
    this.#windows.set(name, added(window, amounts));
    this.#unsaved.add(name);
  }

  async #saveSoon(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null)
      await this.ctx.storage.setAlarm(this.means.now() + SAVE_MS);
  }
}
