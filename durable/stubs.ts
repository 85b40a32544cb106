/** The only file that knows how objects are named, and what can be called on them. */

import type { Budget } from "#durable/format/budget/budget.ts";
import type { BodyEnd, Content, Direction, EndReason } from "#durable/format/frame.ts";
import type { ExchangeId, SessionId } from "#durable/format/ids.ts";
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
import type { Directory, Journal, Ledger } from "./means.ts";

/** What one principal has used of its budgets. */
export interface Purse {
  /** Lets an exchange begin and counts it in all of the budgets, or says what is spent and counts nothing. */
  take(x: ExchangeId, budgets: readonly Budget[]): Promise<Spent | undefined>;
  /** Counts what it used; with `over` it is under way no more. */
  charge(
    x: ExchangeId,
    budgets: readonly Budget[],
    used: { readonly bytes: number; readonly tokens: number },
    over: boolean,
  ): Promise<void>;
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
  discarded(x: ExchangeId, off: number, length: number, sha256: string): Promise<Answer<null>>;
  note(cause: string, missing: string): Promise<Answer<null>>;
  over(): Promise<string>;
  end(reason: EndReason, by?: string): Promise<Answer<SessionView>>;
  view(): Promise<SessionView | undefined>;
}

export const sessionOf = (namespace: DurableObjectNamespace, session: SessionId): Session =>
  namespace.getByName(session) as unknown as Session;

/** One journal, one ledger and one directory a recorder. */
export const journalOf = (namespace: DurableObjectNamespace): Journal =>
  namespace.getByName("journal") as unknown as Journal;
/** One budget object a principal. */
export const budgetOf = (namespace: DurableObjectNamespace, principal: string): Purse =>
  namespace.getByName(principal) as unknown as Purse;
export const ledgerOf = (namespace: DurableObjectNamespace): Ledger =>
  namespace.getByName("ledger") as unknown as Ledger;
export const directoryOf = (namespace: DurableObjectNamespace): Directory =>
  namespace.getByName("directory") as unknown as Directory;
