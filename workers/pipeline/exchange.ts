/** An exchange on its way: each step returns a richer, readonly type, and `forward` accepts only what was cleared. */

import type { HoldNews } from "#durable/format/approval/approval.ts";
import type { ConnectionKind } from "#durable/format/connection.ts";
import type { Decision } from "#durable/format/decision.ts";
import type { MaskFrame } from "#durable/format/frame.ts";
import type { ExchangeId, SessionId } from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts } from "#durable/format/question/question.ts";
import type { Opening } from "#durable/format/tape.ts";
import type { Adapter, Flawed, Incoming, Inspected } from "#workers/adapters/adapter.ts";
import type { Evaluator } from "#workers/contract/evaluator.ts";
import type { Append, Hold, Pins } from "#workers/contract/recorder.ts";
import type { GatewaySettings } from "#workers/contract/settings.ts";
import type { Analysis } from "#workers/mask/analysis/analysis.ts";
import type { Detectors } from "#workers/mask/detectors.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import type { Masker } from "#workers/mask/stream/masker.ts";
import type { Taints } from "./decision/taints.ts";
import type { Cancellations } from "./hold/cancellations.ts";

/** What the pipeline works with: made once a request, since streams and calls belong to their request. */
export type Means = {
  readonly settings: GatewaySettings;
  readonly adapters: Readonly<Record<ConnectionKind, Adapter>>;
  readonly authenticate: (request: Request) => Promise<Principal>;
  readonly evaluator: Evaluator;
  readonly detectors: Detectors;
  readonly analysis: Analysis | undefined;
  readonly taints: Taints;
  readonly cancellations: Cancellations;
  readonly append: Append;
  readonly hold: Hold;
  readonly pins: Pins;
  readonly egress: Fetcher;
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  /** Keeps work alive that goes on while the response streams. Nothing durable may depend on it. */
  readonly meanwhile: (work: Promise<unknown>) => void;
};

/** `incoming.connection` is only what the URL says until it is resolved. */
export type Received = { readonly x: ExchangeId; readonly incoming: Incoming; readonly adapter: Adapter };
export type Authenticated = Received & { readonly principal: Principal; readonly opening: Opening };
export type Resolved = Authenticated & { readonly connection: Incoming["connection"] };
export type Looked = Resolved & { readonly inspected: Inspected | Flawed };
export type Read = Resolved & { readonly inspected: Inspected };
/** `clean` are detectors that have found nothing in all of the body: they need not look once more to hide it. */
export type Decided = Read & {
  readonly facts: Facts;
  readonly clean: Rules | undefined;
  readonly decision: Decision;
};
/** `hidden` is what was hidden in the known part of the request; a streamed rest goes through `masker`. */
export type Masked = Decided & {
  readonly rules: Rules | undefined;
  readonly hidden: readonly MaskFrame[];
  readonly masker: Masker | undefined;
};
export type Recorded = Masked & {
  readonly session: SessionId;
  readonly clearance: string | undefined;
  /** Set when it was approved in advance: it is cut when that is revoked. */
  readonly rests?: HoldNews;
};

declare const cleared: unique symbol;
/** Only `clear` makes one. */
export type Cleared = Recorded & { readonly clearance: string; readonly [cleared]: true };
export type Forwarded = Cleared & { readonly response: Response };
export type Reached = Received | Authenticated | Resolved | Looked | Read | Decided | Masked | Recorded;
