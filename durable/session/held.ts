/** What is recorded of a held exchange: what became of its hold, each event once, and where its body may go. */
import type { ApprovalEvent } from "#durable/format/approval/approval.ts";
import type { HoldFrame } from "#durable/format/frame.ts";
import type { ApprovalId, ExchangeId } from "#durable/format/ids.ts";
import type { RefusalCode } from "#durable/format/refusal.ts";
import type { Target } from "#durable/format/tape.ts";
import type { FrameWriter } from "#durable/store/frame-writer.ts";
import type { Live, SessionTape } from "../session-tape.ts";

export type Following = {
  /** All that was said so far. */
  readonly events: readonly ApprovalEvent[];
  /** What the exchange waits for; given first, once. */
  readonly hold?: Omit<HoldFrame, "k" | "x">;
  /** It may leave, with the commits it pushes; or it never will. */
  readonly end?: { readonly released: readonly string[] } | { readonly released?: never };
};

type No = { readonly no: { readonly code: RefusalCode; readonly message: string } };
const no = (code: RefusalCode, message: string): No => ({ no: { code, message } });

/** Where a held exchange would go, when what is said of it can be said now. */
export function heldOf(
  x: ExchangeId,
  live: Live | undefined,
  { hold, end }: Following,
): { readonly target: Target } | No {
  const { held } = live ?? {};
  if (!held || (!hold && !held.approval)) return no("not_recorded", `${x} is not held in this session`);
  if (hold && held.approval && held.approval !== hold.approval)
    return no("malformed", `${x} waits for ${held.approval}`);
  if (end?.released && held.over) return no("denied", `${x} was released, or refused, before`);
  const { connection, method, path } = held;
  return { target: { connection, method, path } };
}

export function writeHeld(
  tape: SessionTape,
  writer: FrameWriter,
  live: Live,
  x: ExchangeId,
  { events, hold, end }: Following,
): void {
  const { held } = live;
  if (!held) return;
  if (hold && !held.approval) writer.write({ k: "hold", x, ...hold });
  const approval = (held.approval ?? hold?.approval) as ApprovalId;
  const news = events.filter(({ n }) => n > held.seen);
  for (const event of news) writer.write({ k: "approval", x, approval, ...event });
  const seen = Math.max(held.seen, ...news.map(({ n }) => n));
  live.held = { ...held, approval, seen, ...(end && { over: true as const }) };
  if (!end) return;
  tape.endBody(x, "c2s", end.released ? "complete" : "refused");
  for (const id of end.released ?? []) tape.along(() => tape.rows.addPushed(id));
}
