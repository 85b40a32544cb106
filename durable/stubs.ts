/** The only file that knows how objects are named, and what can be called on them. */

import { proxyDurable } from "itty-durable";
import type { Call, Join, Leave, Said, Say, Wait } from "#durable/approval/approval.ts";
import type { ApprovalEvent, ApprovalView, HoldNews, SoFar } from "#durable/format/approval/approval.ts";
import type { Budget } from "#durable/format/budget/budget.ts";
import type { BodyEnd, Content, Direction, EndReason } from "#durable/format/frame.ts";
import type { ApprovalId, ExchangeId, SessionId } from "#durable/format/ids.ts";
import { shardFolder } from "#durable/format/layout.ts";
import type {
  Answer,
  DecisionTape,
  Opening,
  RequestTape,
  ResponseTape,
  SessionView,
  Target,
} from "#durable/format/tape.ts";
import type { Spent } from "./budget/spent.ts";
import type { Amounts } from "./budget/window.ts";
import type {
  Approvals,
  Directory,
  Journal,
  Ledger,
  Pinned,
  Predecessor,
  StandingApprovals,
} from "./means.ts";
import type { Following } from "./session/held.ts";

/** What one principal has used of its budgets. */
export interface Purse {
  /** Lets an exchange begin and counts it in all of the budgets, or says what is spent and counts nothing. */
  take(x: ExchangeId, budgets: readonly Budget[]): Promise<Spent | undefined>;
  /** Counts what it used, or takes back what `take` counted; with `over` it is under way no more. */
  charge(x: ExchangeId, budgets: readonly Budget[], used: Amounts, over: boolean): Promise<void>;
}

/** A session as its callers see it; each call returns after what it records is durable. */
export interface Session {
  begin(session: SessionId, opening: Opening | undefined, tape: RequestTape): Promise<Answer<null>>;
  open(session: SessionId, opening: Opening): Promise<void>;
  respond(x: ExchangeId, tape: ResponseTape): Promise<Answer<null>>;
  append(
    x: ExchangeId,
    dir: Direction,
    off: number,
    bytes: Uint8Array | undefined,
    end?: BodyEnd,
    content?: readonly Content[],
  ): Promise<Answer<null>>;
  spool(x: ExchangeId, off: number, bytes: Uint8Array): Promise<Answer<null>>;
  spooled(x: ExchangeId, off: number): Promise<Answer<Uint8Array>>;
  decide(session: SessionId, x: ExchangeId, tape: DecisionTape): Promise<Answer<Target>>;
  follow(x: ExchangeId, said: Following): Promise<Answer<Target>>;
  discarded(x: ExchangeId, off: number, length: number, sha256: string): Promise<Answer<null>>;
  note(cause: string, missing: string): Promise<Answer<null>>;
  over(): Promise<string>;
  end(reason: EndReason, by?: string): Promise<Answer<SessionView>>;
  view(): Promise<SessionView | undefined>;
  soFar(): Promise<SoFar | undefined>;
}

export const sessionOf = (namespace: DurableObjectNamespace, session: SessionId): Session =>
  namespace.getByName(session) as unknown as Session;

/** One journal and one directory a recorder. */
export const journalOf = (namespace: DurableObjectNamespace): Journal =>
  namespace.getByName("journal") as unknown as Journal;
/** One budget object a principal. */
export const budgetOf = (namespace: DurableObjectNamespace, principal: string): Purse =>
  namespace.getByName(principal) as unknown as Purse;
const FIRST_LEDGER = "ledger";
/** One ledger for each log there was: the first has a plain name, those that go on have their origin's. */
export const ledgerName = (origins: readonly string[], at = origins.length - 1): string =>
  at <= 0 ? FIRST_LEDGER : (origins[at] ?? FIRST_LEDGER);

export type LedgerPlace = {
  /** Below which the log lies in the archive. */
  readonly shard: string;
  readonly before: string | undefined;
  /** How many logs have begun after it. */
  readonly after: number;
};

/** Of the ledger that has a name; `origins` are those of all logs, oldest first. Throws when none of them has it. */
export function ledgerPlace(origins: readonly string[], name: string): LedgerPlace {
  const at = origins.findIndex((_, i) => ledgerName(origins, i) === name);
  const origin = origins[at];
  if (origin === undefined) throw new Error(`no configured log is that of the ledger ${name}`);
  return {
    shard: at === 0 ? "" : shardFolder(origin),
    before: at === 0 ? undefined : ledgerName(origins, at - 1),
    after: origins.length - 1 - at,
  };
}

export const ledgerOf = (namespace: DurableObjectNamespace, name = FIRST_LEDGER): Ledger & Predecessor =>
  namespace.getByName(name) as unknown as Ledger & Predecessor;
export const directoryOf = (namespace: DurableObjectNamespace): Directory =>
  namespace.getByName("directory") as unknown as Directory;
export const standingOf = (namespace: DurableObjectNamespace): StandingApprovals =>
  namespace.getByName("directory") as unknown as StandingApprovals;
export const approvalsOf = (namespace: DurableObjectNamespace): Approvals =>
  namespace.getByName("directory") as unknown as Approvals;

export const pinsOf = (namespace: DurableObjectNamespace): Pinned =>
  namespace.getByName("directory") as unknown as Pinned;

/** An approval as its callers see it. */
export interface Approval {
  join(join: Join): Promise<HoldNews>;
  say(said: Say): Promise<Said>;
  leave(leave: Leave): Promise<HoldNews>;
  use(x: ExchangeId): Promise<{ readonly used: boolean; readonly news: HoldNews }>;
  outcome(x: ExchangeId, text: string): Promise<HoldNews>;
  revoke(said: Pick<ApprovalEvent, "by" | "text">): Promise<HoldNews>;
  /** Null, as `show`, when there is no such approval. */
  wait(wait: Wait): Promise<HoldNews | null>;
  show(): Promise<ApprovalView | null>;
}

/** The library's stub traps `then`, so it never leaves this function; its arguments travel in a header, so they are ASCII. */
export function approvalOf(namespace: DurableObjectNamespace, approval: ApprovalId): Approval {
  const call = <T>(name: Call, argument: unknown = null): Promise<T> =>
    proxyDurable(namespace, { parse: true }).get(approval)[name](asciiJson(argument));
  return {
    join: (join) => call("join", join),
    say: (said) => call("say", said),
    leave: (leave) => call("leave", leave),
    use: (x) => call("use", { x }),
    outcome: (x, text) => call("outcome", { x, text }),
    revoke: (said) => call("revoke", said),
    wait: (wait) => call("wait", wait),
    show: () => call("show"),
  };
}

const asciiJson = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
