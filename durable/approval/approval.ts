/** ApprovalObject: one hold, until it is released, denied, void or too old, and a day longer. */
import { createDurable } from "itty-durable";
import type {
  ApprovalEvent,
  ApprovalRow,
  ApprovalStep,
  ApprovalView,
  HoldNews,
  HoldTape,
  Waiter,
} from "#durable/format/approval/approval.ts";
import { approvers, isEnough } from "#durable/format/approval/enough.ts";
import { passesAgain } from "#durable/format/approval/rounds.ts";
import type { Resting } from "#durable/format/approval/standing.ts";
import type { ApprovalId } from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import { nextDelay } from "#durable/store/outbox.ts";
import { isTold, type Notice } from "./notice.ts";
import { type ApprovalRows, approvalRows, type Queued } from "./rows.ts";
import { enoughOf, whyNot, whyNotBreak } from "./rules.ts";

/** What can be called, each with one argument: JSON in ASCII, since it travels in a header. */
export const CALLS = ["join", "say", "leave", "use", "outcome", "revoke", "wait", "show"] as const;
export type Call = (typeof CALLS)[number];

export type ApprovalMeans = {
  readonly now: () => number;
  /** Tells the directory's list. */
  readonly tell: (row: ApprovalRow) => Promise<void>;
  readonly forget: (approval: ApprovalId) => Promise<void>;
  /** Groups whose members may approve alone what cannot wait. */
  readonly breakGlass: readonly string[];
  /** How many webhooks are told. */
  readonly webhooks: number;
  /** Returns when that webhook has taken it; `id` is the same each time it is told. Throws otherwise. */
  readonly notify: (webhook: number, notice: Notice, id: string) => Promise<void>;
  /** What an operator should know. */
  readonly alert: (code: string, facts: Readonly<Record<string, string | number>>) => void;
};

export type Join = {
  readonly tape: HoldTape;
  readonly waiter: Waiter;
  readonly ttlMs: number;
  /** What was approved in advance and covers it. */
  readonly standing?: Resting;
};
export type Say = {
  readonly step: "view" | "comment" | "approve" | "deny" | "break-glass";
  readonly by: Principal;
  readonly text?: string;
};
/** An exchange waits no longer. `void` ends the hold, unless another exchange waits for it. */
export type Leave = { readonly waiter: Waiter; readonly void?: string };
export type Wait = { readonly seen: number; readonly ms: number };
/** An expected no is a value: errors keep nothing but their text on the way. */
export type Said =
  | { readonly ok: ApprovalView; readonly waiters: readonly Waiter[] }
  | { readonly no: "not_there" | "denied" | "approval_over"; readonly message: string };

/** Kept so long after it is over, for whoever asks what became of it. */
const KEPT_MS = 24 * 3_600_000;
const WAIT_MAX_MS = 50_000;
const EVENTS_MAX = 500;

/** Something can still come of it. */
const isOpen = (state: ApprovalRow["state"]): boolean => state === "pending" || state === "approved";

/** Who waits for news, in this object's memory: after a restart they ask again. */
const waiting = new WeakMap<SqlStorage, Set<() => void>>();

export abstract class ApprovalObject extends createDurable() {
  protected abstract readonly means: ApprovalMeans;
  protected readonly approval: ApprovalId;
  /** Its instances are proxies, which cannot have `#private` members. */
  protected readonly rows: ApprovalRows;
  protected readonly storage: DurableObjectStorage;

  /** Bindings are not handed on: the library would wrap each of them. */
  constructor(state: DurableObjectState) {
    super(state, {});
    this.storage = state.storage;
    this.approval = state.id.name as ApprovalId;
    this.rows = approvalRows(state.storage.sql);
  }

  /** By name any caller could call any method, and set any field. */
  override async fetch(request: Request): Promise<Response> {
    const [, , action, target] = new URL(request.url).pathname.split("/");
    if (action !== "call" || !CALLS.some((call) => call === target))
      return new Response(null, { status: 404 });
    return super.fetch(request);
  }

  /** Opens the hold where it is not open; the exchange waits while there is something to wait for. */
  async join(text: string): Promise<HoldNews> {
    const { tape, waiter, ttlMs, standing } = JSON.parse(text) as Join;
    const known = this.rows.read();
    if (!known) {
      const now = this.means.now();
      const { shown, omitted, ...known } = tape;
      const row: ApprovalRow = {
        ...known,
        ...(omitted !== undefined && { omitted }),
        approval: this.approval,
        state: "pending",
        openedAt: new Date(now).toISOString(),
        expires: new Date(now + ttlMs).toISOString(),
        session: waiter.session,
        exchange: waiter.x,
      };
      this.rows.open(row, now + ttlMs, shown);
      // What passes at once asks nobody.
      if (!this.covered(standing)) this.rows.queue({ row }, this.means.webhooks, now);
      await this.storage.setAlarm(this.means.webhooks > 0 ? now : now + ttlMs);
      await this.changed();
    }
    this.expireInTime();
    if (known && this.covered(standing)) await this.changed();
    const { state } = this.known().row;
    if (isOpen(state)) this.rows.addWaiter(waiter);
    return this.news();
  }

  /** A decision, a comment, or that somebody looked. Approving twice is approving once. */
  async say(text: string): Promise<Said> {
    const { step, by, text: words } = JSON.parse(text) as Say;
    const found = this.rows.read();
    if (!found) return { no: "not_there", message: `there is no approval ${this.approval}` };
    this.expireInTime();
    const { row } = this.known();
    const why = step === "break-glass" ? whyNotBreak(row, by, this.means.breakGlass) : whyNot(row, by);
    if (why !== undefined && step !== "view") return { no: "denied", message: why };
    const over = row.state !== "pending";
    if (over && step !== "view" && step !== "comment")
      return {
        no: "approval_over",
        message: `${this.approval} is ${row.state}: nothing can be decided any more`,
      };
    const events = this.rows.events();
    const who = JSON.stringify([by.issuer, by.subject]);
    if (step === "approve" && approvers(events).has(who))
      return { no: "approval_over", message: "you have approved it already" };
    if (events.length >= EVENTS_MAX && (step === "view" || step === "comment"))
      return { no: "approval_over", message: "too much was said of it already" };
    const { issuer, subject, name, groups } = by;
    const wanted = step === "break-glass" ? this.means.breakGlass : row.hold.map((one) => one.group);
    const counted = groups.filter((group) => wanted.includes(group));
    const person = { issuer, subject, ...(name !== undefined && { name }), groups: counted };
    const now = new Date(this.means.now()).toISOString();
    const next = { n: events.length + 1, step, at: now, by: person };
    if (step === "deny") this.rows.setState("denied");
    if (step !== "view" && step !== "comment" && step !== "deny" && isEnough(row.hold, [...events, next]))
      this.rows.setState("approved");
    this.add(step, { by: person, ...(words !== undefined && { text: words }) });
    await this.changed();
    return { ok: this.view(), waiters: this.rows.waiters() };
  }

  /** Nothing was sent upstream for this exchange, and nothing will be. */
  async leave(text: string): Promise<HoldNews> {
    const { waiter, void: why } = JSON.parse(text) as Leave;
    this.rows.dropWaiter(waiter);
    const { state } = this.known().row;
    if (why !== undefined && this.rows.waiters().length === 0 && isOpen(state)) {
      this.rows.setState("void");
      this.add("void", { text: why });
    }
    await this.changed();
    return this.news();
  }

  /** Uses the approval up for one exchange. True for that one, again and again; for no other ever, but for its rounds. */
  async use(text: string): Promise<{ readonly used: boolean; readonly news: HoldNews }> {
    const { x } = JSON.parse(text) as { readonly x: string };
    this.expireInTime();
    const { state } = this.known().row;
    if (state === "approved") {
      this.rows.setReleased(x);
      this.rows.setState("released");
      this.add("release", {});
      await this.changed();
    }
    const news = this.news();
    const again = this.known().row.rounds === true && passesAgain(news, this.means.now());
    return { used: this.rows.released() === x || again, news };
  }

  /** What it came by is revoked: whoever passes it on is told, and cuts it. */
  async revoke(text: string): Promise<HoldNews> {
    const said = JSON.parse(text) as Pick<ApprovalEvent, "by" | "text">;
    const over = this.rows.events().some(({ step }) => step === "revoke");
    if (this.known().row.state === "released" && !over) {
      this.add("revoke", said);
      await this.changed();
    }
    return this.news();
  }

  async outcome(text: string): Promise<HoldNews> {
    const { x, text: words } = JSON.parse(text) as { readonly x: string; readonly text: string };
    if (this.rows.released() === x && !this.rows.events().some(({ step }) => step === "outcome"))
      this.add("outcome", { text: words });
    return this.news();
  }

  /** Returns at the first event after `seen`, or when `ms` have passed. */
  async wait(text: string): Promise<HoldNews | null> {
    const { seen, ms } = JSON.parse(text) as Wait;
    if (!this.rows.read()) return null;
    this.expireInTime();
    if (this.rows.events().length <= seen) await this.nextEvent(Math.min(ms, WAIT_MAX_MS));
    this.expireInTime();
    return this.news();
  }

  async show(): Promise<ApprovalView | null> {
    if (!this.rows.read()) return null;
    this.expireInTime();
    return this.view();
  }

  async alarm(): Promise<void> {
    const found = this.rows.read();
    if (!found) return;
    this.expireInTime();
    const { expires } = found;
    const now = this.means.now();
    if (now >= expires + KEPT_MS) {
      for (const { target, n } of this.rows.queued())
        this.means.alert("webhook_given_up", { approval: this.approval, webhook: target, n });
      await this.means.forget(this.approval);
      this.rows.forget();
      await this.storage.deleteAll();
      return;
    }
    if (now >= expires) await this.changed();
    const due = await this.deliver();
    const next = now < expires ? expires : expires + KEPT_MS;
    await this.storage.setAlarm(Math.min(due ?? next, next));
  }

  /** Tells the webhooks what they have not been told; when to try the next again. One that fails delays no other. */
  protected async deliver(): Promise<number | undefined> {
    for (;;) {
      const queued = this.rows.queued();
      const due = queued.filter((one) => one.due <= this.means.now());
      if (due.length === 0)
        return queued.length === 0 ? undefined : Math.min(...queued.map((one) => one.due));
      await Promise.all(due.map((one) => this.tellOne(one)));
    }
  }

  protected async tellOne(queued: Queued): Promise<void> {
    const { n, target, notice, attempts } = queued;
    try {
      await this.means.notify(target, notice, `${this.approval}.${n}`);
      this.rows.told(queued);
    } catch (cause) {
      this.rows.later(queued, attempts + 1, this.means.now() + nextDelay(attempts + 1, Math.random()));
      const facts = { approval: this.approval, webhook: target, attempt: attempts + 1, cause: String(cause) };
      this.means.alert("webhook_failed", facts);
    }
  }

  protected known(): { readonly row: ApprovalRow; readonly expires: number } {
    const found = this.rows.read();
    if (!found) throw new Error(`there is no approval ${this.approval}`);
    return found;
  }

  /** Whether it was pending, and is approved now. */
  protected covered(standing: Resting | undefined): boolean {
    const { row } = this.known();
    const resting = standing && row.state === "pending" ? enoughOf(row, standing) : undefined;
    if (!resting) return false;
    this.rows.setState("approved");
    this.add("standing", { standing: resting });
    return true;
  }

  /** Time decides whether or not the alarm has come. */
  protected expireInTime(): void {
    const { row, expires } = this.known();
    if (!isOpen(row.state) || this.means.now() < expires) return;
    this.rows.setState("expired");
    this.add("expire", {});
  }

  protected add(step: ApprovalStep, more: Pick<ApprovalEvent, "by" | "text" | "standing">): void {
    const event = this.rows.addEvent({ step, at: new Date(this.means.now()).toISOString(), ...more });
    if (isTold(event))
      this.rows.queue({ row: this.known().row, event }, this.means.webhooks, this.means.now());
    const { sql } = this.storage;
    for (const wake of waiting.get(sql) ?? []) wake();
    waiting.delete(sql);
  }

  /** The list may be behind for a while: it is told again at the next change, and by the alarm. */
  protected async changed(): Promise<void> {
    if (this.rows.queued().some(({ attempts }) => attempts === 0))
      await this.storage.setAlarm(this.means.now());
    await this.means.tell(this.known().row);
  }

  protected nextEvent(ms: number): Promise<void> {
    const { sql } = this.storage;
    const { promise, resolve } = Promise.withResolvers<void>();
    const all = waiting.get(sql) ?? new Set();
    waiting.set(sql, all.add(resolve));
    const timer = setTimeout(resolve, ms);
    return promise.finally(() => {
      clearTimeout(timer);
      all.delete(resolve);
    });
  }

  protected news(): HoldNews {
    const { approval, state, expires } = this.known().row;
    return { approval, state, expires, events: this.rows.events() };
  }

  protected view(): ApprovalView {
    return { ...this.known().row, events: this.rows.events(), shown: this.rows.shown() };
  }
}
