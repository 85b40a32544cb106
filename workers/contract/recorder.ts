/** The recorder's entrypoints as their callers see them. Each is bound by name, so no caller holds more (ARCHITECTURE §3). */
import type {
  ApprovalRow,
  ApprovalView,
  HoldNews,
  HoldTape,
  ReleaseTape,
} from "#durable/format/approval/approval.ts";
import type { StandingRow, StandingTerms } from "#durable/format/approval/standing.ts";
import type { Definition, Known, PinState } from "#durable/format/catalogue/definition.ts";
import type { BodyEnd, Content } from "#durable/format/frame.ts";
import type { ApprovalId, ConnectionName, ExchangeId, SessionId, StandingId } from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import type {
  Answer,
  Begun,
  DecisionTape,
  Opening,
  RequestTape,
  ResponseTape,
  SessionView,
} from "#durable/format/tape.ts";

/** Held by the gateway. Every call returns only after what it was given is durable. */
export interface Append {
  /** Records a request and its decision; opens the session when there is none. */
  begin(opening: Opening, tape: RequestTape): Promise<Answer<Begun>>;
  /** Records bytes of a request body that began as spooled, at `off`: they leave only by the decision on all of them. */
  spool(session: SessionId, x: ExchangeId, off: number, bytes: Uint8Array): Promise<Answer<null>>;
  /** Spooled bytes again, from `off` on, a megabyte at most; for the inspection that decides on them. */
  spooled(session: SessionId, x: ExchangeId, off: number): Promise<Answer<Uint8Array>>;
  /** Records what a spooled body contains, and the decision on it. The clearance is for that body alone. */
  decide(session: SessionId, x: ExchangeId, tape: DecisionTape): Promise<Answer<Begun>>;
  /** Whether the recorder answers; touches nothing. */
  ready(): Promise<Answer<null>>;
  /** Records a response head, and its body as far as it is given. Once per exchange. */
  respond(session: SessionId, x: ExchangeId, tape: ResponseTape): Promise<Answer<null>>;
  /** Records response bytes at `off`. What is already recorded at that offset is not recorded twice. */
  release(
    session: SessionId,
    x: ExchangeId,
    off: number,
    bytes: Uint8Array,
    end?: BodyEnd,
    content?: readonly Content[],
  ): Promise<Answer<null>>;
  /** Records what a request body contains whose bytes come by another way: what was hidden in it. */
  contained(session: SessionId, x: ExchangeId, content: readonly Content[]): Promise<Answer<null>>;
  /** Ends an exchange's response body, and says what it contained. */
  finish(
    session: SessionId,
    x: ExchangeId,
    off: number,
    end: BodyEnd,
    content?: readonly Content[],
  ): Promise<Answer<null>>;
  /** Records the length and digest of request bytes that were read and thrown away after a refusal. */
  discarded(
    session: SessionId,
    x: ExchangeId,
    off: number,
    length: number,
    sha256: string,
  ): Promise<Answer<null>>;
  /** Resolves when the session ends, with the reason: live exchanges race it. */
  ended(session: SessionId): Promise<string>;
  /** Records a refusal that happened before anybody was known, in the node's own rate-limited session. */
  refuse(tape: RequestTape, response: ResponseTape): Promise<Answer<{ session: SessionId } | null>>;
  open(opening: Opening): Promise<Answer<SessionView>>;
  own(principal: Principal): Promise<Answer<readonly SessionView[]>>;
  show(principal: Principal, session: SessionId): Promise<Answer<SessionView>>;
  end(principal: Principal, session: SessionId): Promise<Answer<SessionView>>;
}

/** Held by egress: the rest of a streamed request body, recorded before it leaves; and a spooled body, to be sent. */
export interface Spool {
  /** The spooled body that a clearance covers, from `off` on, a megabyte at most; nothing at its end. */
  read(clearance: string, off: number): Promise<Answer<Uint8Array>>;
  append(clearance: string, off: number, bytes: Uint8Array): Promise<Answer<null>>;
  finish(clearance: string, off: number, end: BodyEnd): Promise<Answer<null>>;
}

/** Held by the console. */
export interface Read {
  ready(): Promise<Answer<null>>;
  list(): Promise<Answer<readonly SessionView[]>>;
  show(session: SessionId): Promise<Answer<SessionView>>;
}

/** Held by the console, for those who may erase, and those who may forbid it. `reason` is kept in the log, in clear. */
export interface Custody {
  erase(session: SessionId, by: Principal, reason: string): Promise<Answer<SessionView>>;
  legalHold(
    session: SessionId,
    by: Principal,
    state: "set" | "lifted",
    reason: string,
  ): Promise<Answer<SessionView>>;
}

/** Held by the console, for admins. */
export interface Kill {
  kill(session: SessionId, by: Principal): Promise<Answer<SessionView>>;
}

/** Held by the gateway: what policy holds, until it is released, which takes an approval and is once. */
export interface Hold {
  /**
   * Asks for approval of an exchange that was recorded as held, or joins the approval for the same content. `named` is the
   * one that the request names: it must be for this content, or else it is void. `standing` covers it, says the evaluator:
   * where it is live still, and enough of those who granted it may lift this hold, it is approved at once.
   */
  open(
    session: SessionId,
    x: ExchangeId,
    tape: HoldTape,
    by: { readonly named?: ApprovalId; readonly standing?: StandingId },
  ): Promise<Answer<HoldNews>>;
  /** What was approved in advance, by people who may lift this hold. */
  standing(of: Pick<HoldTape, "principal" | "hold">): Promise<Answer<readonly StandingRow[]>>;
  /** Returns at the first event after the first `seen`, or after `ms`; 50 s at most. */
  wait(approval: ApprovalId, seen: number, ms: number): Promise<Answer<HoldNews>>;
  /** Uses the approval up for this exchange and records that, before it gives a clearance. */
  release(session: SessionId, x: ExchangeId, approval: ApprovalId, tape: ReleaseTape): Promise<Answer<Begun>>;
  /** The exchange waits no longer, and nothing of it will leave. `voids` says why nobody should approve it any more. */
  leave(session: SessionId, x: ExchangeId, approval: ApprovalId, voids?: string): Promise<Answer<HoldNews>>;
  /** What came of a release. */
  outcome(session: SessionId, x: ExchangeId, approval: ApprovalId, text: string): Promise<Answer<HoldNews>>;
  /** As `wait`, for whoever asked for it, and nobody else. */
  show(approval: ApprovalId, of: Principal, seen: number, ms: number): Promise<Answer<HoldNews>>;
}

/** Held by the gateway: what is remembered of MCP servers. Whose their sessions are; definitions of tools, as they were seen first or approved last. An approval moves them, and nothing here. */
export interface Pins {
  /** What is known of each tool, in the order they are named; null when nobody was ever shown it. */
  known(
    connection: ConnectionName,
    principal: Principal,
    tools: readonly string[],
  ): Promise<Answer<readonly (Known | null)[]>>;
  /** What a list shows somebody, before it does. Returns what each was to its pin. */
  learn(
    connection: ConnectionName,
    principal: Principal,
    shown: readonly Definition[],
  ): Promise<Answer<readonly PinState[]>>;
  /** A server has opened a session for somebody. */
  opened(connection: ConnectionName, principal: Principal, serverSession: string): Promise<Answer<null>>;
  /** Whether it was opened for them, and by this gateway. */
  isOwn(connection: ConnectionName, principal: Principal, serverSession: string): Promise<Answer<boolean>>;
}

/** Held by the console, for approvers. The recorder decides whose say it is; who they are, and which groups they are in, is `by`. */
export interface Decide {
  list(): Promise<Answer<readonly ApprovalRow[]>>;
  /** That somebody looked is recorded. */
  show(approval: ApprovalId, by: Principal): Promise<Answer<ApprovalView>>;
  approve(approval: ApprovalId, by: Principal, text?: string): Promise<Answer<ApprovalView>>;
  deny(approval: ApprovalId, by: Principal, text?: string): Promise<Answer<ApprovalView>>;
  /** Approves it alone, with a reason; the log and the operators hear of it. */
  breakGlass(approval: ApprovalId, by: Principal, text: string): Promise<Answer<ApprovalView>>;
  comment(approval: ApprovalId, by: Principal, text: string): Promise<Answer<ApprovalView>>;
}

/** Held by the console, for approvers. Its scope was checked; each of these is in the log. */
export interface Standing {
  /** The newest 1,000, live or over. */
  list(): Promise<Answer<readonly StandingRow[]>>;
  show(standing: StandingId): Promise<Answer<StandingRow>>;
  /** `by` must be in all of the groups that they grant it as. */
  grant(terms: StandingTerms, by: Principal): Promise<Answer<StandingRow>>;
  /** Grants it as well, for holds that take more than one, or another group. */
  join(standing: StandingId, groups: readonly string[], by: Principal): Promise<Answer<StandingRow>>;
  /** Nothing passes by it any more, and what is under way by it is cut. */
  revoke(standing: StandingId, by: Principal, text?: string): Promise<Answer<StandingRow>>;
}
