/** Which conversation a call belongs to that does not say so: that of the hook which has just told of it. */
import type { Content } from "#durable/format/frame.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { type Principal, principalKey } from "#durable/format/principal.ts";

/** An agent calls at once what its hook was let do, or when somebody has approved it. */
const STANDS_MS = 10 * 60_000;
const STANDING_MAX = 10_000;

type Standing = { until: number; readonly told: Map<string, number> };

/**
 * In memory: after a restart a call stays with its client's own session, and its claim is told as never seen. `input` is the
 * digest of a tool and its arguments; `now` is in milliseconds since 1970.
 */
export class Claims {
  /** By principal and input, then by the session that claims it. */
  readonly #standing = new Map<string, Map<SessionId, Standing>>();

  /** Of one call an agent may tell by several events: it is claimed as often as one of them was told. */
  stand(
    by: Principal,
    input: string,
    { session, event }: { session: SessionId; event: string },
    now: number,
  ): void {
    if (this.#standing.size >= STANDING_MAX) this.#standing.clear();
    const key = keyOf(by, input);
    const sessions = this.#standing.get(key) ?? new Map<SessionId, Standing>();
    const standing = sessions.get(session) ?? { until: 0, told: new Map<string, number>() };
    standing.until = now + STANDS_MS;
    standing.told.set(event, (standing.told.get(event) ?? 0) + 1);
    this.#standing.set(key, sessions.set(session, standing));
  }

  /** The one session that claims it; undefined when none does, or several do: nobody guesses whose it is. */
  sessionOf(by: Principal, input: string, now: number): SessionId | undefined {
    const sessions = this.#standing.get(keyOf(by, input));
    for (const [session, { until }] of sessions ?? []) if (until <= now) sessions?.delete(session);
    const [first, ...others] = sessions?.keys() ?? [];
    return others.length > 0 ? undefined : first;
  }

  /** It came. */
  take(by: Principal, input: string, session: SessionId): void {
    const key = keyOf(by, input);
    const sessions = this.#standing.get(key);
    const told = sessions?.get(session)?.told;
    for (const [event, times] of told ?? [])
      if (times > 1) told?.set(event, times - 1);
      else told?.delete(event);
    if (told?.size === 0) sessions?.delete(session);
    if (sessions?.size === 0) this.#standing.delete(key);
  }

  /** It has ended: nothing is led to it any more. */
  end(by: Principal, input: string, session: SessionId): void {
    this.#standing.get(keyOf(by, input))?.delete(session);
  }
}

/** The call in what a request contains. */
export const calledIn = (content: readonly Content[] = []): string | undefined =>
  content.flatMap((frame) => (frame.k === "mcp" && frame.input !== undefined ? [frame.input] : []))[0];

/** The call that a hook tells of. */
export const claimIn = (
  content: readonly Content[] = [],
): { readonly input: string; readonly event: string } | undefined =>
  content.flatMap((frame) =>
    frame.k === "hook" && frame.claims?.of === "mcp.tools/call"
      ? [{ input: frame.claims.input, event: frame.event }]
      : [],
  )[0];

const keyOf = (by: Principal, input: string): string => `${principalKey(by)} ${input}`;
