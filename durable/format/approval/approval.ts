/** A hold as it crosses isolates: what waits, for whom, and what became of it. */
import type { Acceptance } from "../catalogue/definition.ts";
import type { Approvers } from "../decision.ts";
import type { Content } from "../frame.ts";
import type { ApprovalId, ConnectionName, ExchangeId, SessionId } from "../ids.ts";
import type { Operation } from "../operation.ts";
import type { Principal } from "../principal.ts";
import type { Person, Resting } from "./standing.ts";

/** `approved` is good for one release of the same content; all that follow are the end of it. */
export type ApprovalState = "pending" | "approved" | "released" | "denied" | "expired" | "void";

export const APPROVAL_STEPS = [
  "view",
  "comment",
  "approve",
  "deny",
  /** Approved alone, by somebody who may when it cannot wait; the log says so too. */
  "break-glass",
  /** Covered by what somebody had approved in advance, for a while. */
  "standing",
  /** The standing approval it came by was revoked while it was under way, which cut it. */
  "revoke",
  "expire",
  "void",
  "release",
  /** What came of a release. */
  "outcome",
] as const;
export type ApprovalStep = (typeof APPROVAL_STEPS)[number];

/** One thing that happened to a hold. `n` counts them from 1. */
export type ApprovalEvent = {
  readonly n: number;
  readonly step: ApprovalStep;
  readonly at: string;
  /** Absent for what happens by itself. */
  readonly by?: Person;
  readonly text?: string;
  /** Of `standing`: whose it is, and for what. */
  readonly standing?: Resting;
};

/** What is held, as the gateway knows it. */
export type HoldTape = {
  /** SHA-256, hex, over principal, connection, operation and content. */
  readonly digest: string;
  readonly principal: Principal;
  readonly client: string;
  readonly connection: ConnectionName;
  readonly operation: Operation;
  readonly policies: readonly string[];
  readonly reason: string;
  readonly hold: readonly Approvers[];
  readonly justification?: string;
  /** It is asked for in several rounds: see `passesAgain`. */
  readonly rounds?: true;
  /** Frames that say what is in it: commits, changed paths, diffs, messages. */
  readonly shown: readonly Content[];
  /** Frames that were left out of `shown`; the session has them. */
  readonly omitted?: number;
};

/** Which exchange of which session waits. */
export type Waiter = { readonly session: SessionId; readonly x: ExchangeId };

/** A hold in a list. */
export type ApprovalRow = Omit<HoldTape, "shown" | "omitted"> & {
  readonly approval: ApprovalId;
  readonly state: ApprovalState;
  readonly openedAt: string;
  readonly expires: string;
  /** Where it was asked for first. */
  readonly session: SessionId;
  readonly exchange: ExchangeId;
};

export type ApprovalView = ApprovalRow & {
  readonly events: readonly ApprovalEvent[];
  readonly shown?: HoldTape["shown"];
  readonly omitted?: number;
  /** Absent when the session has ended. */
  readonly soFar?: SoFar;
};

/** An exchange of the session that waits, in names: no content, no arguments. */
export type Done = {
  readonly x: ExchangeId;
  readonly at?: string;
  readonly connection: string;
  readonly kind: string;
  readonly about: string;
  readonly verdict?: "allow" | "deny" | "hold";
  readonly status?: number;
};

/** What the session that waits has done before: all of it in numbers, and the newest of what the node still has. */
export type SoFar = {
  readonly openedAt: string;
  readonly exchanges: number;
  readonly denied: number;
  readonly taints: readonly string[];
  readonly done: readonly Done[];
};

/** What an exchange learns of its hold. */
export type HoldNews = Pick<ApprovalRow, "approval" | "state" | "expires"> & {
  readonly events: readonly ApprovalEvent[];
};

/** What a released exchange brings: its body as recorded, the commits it pushes, the definition that was approved with it. */
export type ReleaseTape = {
  readonly body?: { readonly length: number; readonly sha256: string };
  readonly commits: readonly string[];
  readonly accepts?: Acceptance & { readonly connection: ConnectionName; readonly principal: Principal };
};
