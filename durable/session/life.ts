/** The two facts that bound a session: how it was opened, and how it ended. */
import type { EndReason, SessionTruncated } from "#durable/format/frame.ts";
import type { NotBefore } from "#durable/format/head.ts";
import type { ExchangeId, SessionId } from "#durable/format/ids.ts";
import type { Opening } from "#durable/format/tape.ts";

export type Opened = {
  readonly session: SessionId;
  readonly opening: Opening;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** What the log had published by then. */
  readonly notBefore?: NotBefore;
};
/** Absent while the session is open. */
export type Ending = { readonly reason: EndReason | "truncated"; readonly at: number };

export const truncated = (lastDurable: number, exchanges: readonly ExchangeId[]): SessionTruncated => ({
  k: "session.truncated",
  cause: "the recorder stopped while exchanges were under way",
  lastDurable,
  exchanges,
});
