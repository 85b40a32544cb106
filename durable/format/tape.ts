/** What callers hand to the recorder, and what they get back. Plain values: they cross isolates and processes. */
import type { Bodies } from "./connection.ts";

import type { RecordedDecision } from "./decision.ts";
import type { BodyEnd, Content, EndReason, Header } from "./frame.ts";
import type { ConnectionName, ExchangeId, SessionId } from "./ids.ts";
import type { Operation } from "./operation.ts";
import { type Principal, principalKey } from "./principal.ts";
import type { RefusalCode } from "./refusal.ts";

/** Whose session an exchange belongs to. Without `session`, it joins the open one of the same key, or opens it. */
export type Opening = {
  readonly principal: Principal;
  /** The program that speaks, from User-Agent: `git/2.39.5`. */
  readonly client: string;
  readonly conversation?: string;
  readonly session?: SessionId;
  /** How long the session may last, when a budget says so. */
  readonly maxSeconds?: number;
};

/** A conversation is one session whichever clients it takes: hooks, git, MCP, a model. Without one, each client has its own. */
export const sessionKey = ({ principal, client, conversation }: Opening): string =>
  JSON.stringify([principalKey(principal), conversation === undefined ? client : "", conversation ?? ""]);

/** The part of a request body that is known when the request is recorded. */
export type RequestBody =
  | { readonly kind: "none" }
  | { readonly kind: "whole"; readonly bytes: Uint8Array }
  /** The prefix was read to decide; egress records every later byte through `Spool` before it leaves. */
  | { readonly kind: "stream"; readonly prefix: Uint8Array }
  /** Nothing yet: all of it follows through `spool`, and the decision after it. */
  | { readonly kind: "spooled" };

/** What a request is for: a spooled body is forwarded there and nowhere else. */
export type Target = Pick<RequestTape, "connection" | "method" | "path">;

export type RequestTape = {
  readonly x: ExchangeId;
  readonly connection: ConnectionName | "";
  readonly operation: Operation;
  readonly method: string;
  /** As sent upstream, with its query; for refused requests as received, without credentials. */
  readonly path: string;
  readonly headers: readonly Header[];
  /** What the body contains, as far as it was decoded. */
  readonly content: readonly Content[];
  readonly bodies: Bodies;
  readonly body: RequestBody;
  /** Absent when it was refused before anything was decided. */
  readonly decision?: RecordedDecision;
  /** What the decision knew of the session: `stale` when there is more by now. Absent without a decision. */
  readonly taints?: readonly string[];
};

/** What all of a spooled body says, and the decision on it. */
export type DecisionTape = {
  readonly content: readonly Content[];
  readonly decision: RecordedDecision;
  /** What the decision knew of the session. */
  readonly taints: readonly string[];
  /** Of the body, as spooled. */
  readonly length: number;
  readonly sha256: string;
};

export type ResponseTape = {
  readonly status: number;
  readonly headers: readonly Header[];
  readonly refusal?: { readonly code: RefusalCode; readonly message: string; readonly cause?: string };
  readonly bytes?: Uint8Array;
  readonly end?: BodyEnd;
  /** What the answer contains, when it is known with its head. */
  readonly content?: readonly Content[];
};

/** Answers of the recorder. Errors do not keep their class across isolates, so an expected no is a value. */
export type Answer<T> = { readonly ok: T } | { readonly no: No };

export type No = {
  readonly code: RefusalCode;
  readonly message: string;
  /** Seconds after which it is worth trying again. */
  readonly later?: number;
  /** With `stale`: what the session has to its name by now. */
  readonly taints?: readonly string[];
};

export type Begun = {
  readonly session: SessionId;
  /** Present only when the decision allows: what egress asks for before it forwards. */
  readonly clearance?: string;
};

/** What a clearance covers (ARCHITECTURE §3). Minted after the append is durable; good for one forward. */
export type ClearanceClaims = {
  readonly session: SessionId;
  readonly x: ExchangeId;
  readonly connection: ConnectionName;
  readonly method: string;
  readonly path: string;
  readonly verdict: "allow";
  readonly body:
    | { readonly kind: "none" }
    | { readonly kind: "whole"; readonly sha256: string }
    | { readonly kind: "stream"; readonly prefix: number; readonly sha256: string }
    /** Egress reads it from the recorder, and holds it against this. */
    | { readonly kind: "spooled"; readonly length: number; readonly sha256: string };
  /** Milliseconds since 1970. */
  readonly expires: number;
  readonly nonce: string;
};

export type SessionStatus = "open" | "closing" | "sealed";

/** What may still be read of a sealed session, by whoever could. */
export type CustodyView = {
  readonly erasure?: { readonly at: string; readonly reason: string; readonly state: "begun" | "done" };
  readonly legalHold?: { readonly at: string; readonly reason: string };
};

export type SessionView = CustodyView & {
  readonly session: SessionId;
  readonly status: SessionStatus;
  readonly principal: Principal;
  readonly client: string;
  readonly conversation?: string;
  readonly openedAt: string;
  readonly endedAt?: string;
  readonly reason?: EndReason | "truncated";
  readonly frames: number;
  readonly exchanges: number;
  readonly denied: number;
  /** Raw body bytes recorded, both directions. */
  readonly bytes: number;
  /** Bytes that wait for the archive. */
  readonly backlog: number;
  readonly root?: string;
};
