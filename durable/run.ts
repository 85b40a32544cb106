/** What one run of the recorder remembers, whatever becomes of its objects: an object that the disk has failed is made anew. */
import type { ExchangeId, SessionId } from "#durable/format/ids.ts";

/** Which run this is. Randomness is not to be had while a module loads, so it is drawn at first use. */
let drawn = "";

export function epoch(): string {
  if (drawn === "") drawn = crypto.randomUUID();
  return drawn;
}

/**
 * Exchanges of which frames were lost before anybody was told that they are kept: what the next `gap` frame of their
 * session names. Never changed: what is added makes a new one.
 */
export type Owed = { readonly exchanges: readonly ExchangeId[] };

/** A `gap` frame is one line. */
const EXCHANGES_MAX = 1_000;
const SESSIONS_MAX = 10_000;
const bySession = new Map<SessionId, Owed>();

export const owedIn = (session: SessionId): Owed | undefined => bySession.get(session);

export function owe(session: SessionId, exchanges: readonly ExchangeId[]): void {
  const all = new Set([...(bySession.get(session)?.exchanges ?? []), ...exchanges]);
  if (bySession.size >= SESSIONS_MAX) bySession.clear();
  bySession.set(session, { exchanges: [...all].slice(0, EXCHANGES_MAX) });
}

/** A durable frame says it. Nothing is settled when more has come to be owed meanwhile: that is said again, whole. */
export function settle(session: SessionId, owed: Owed): void {
  if (bySession.get(session) === owed) bySession.delete(session);
}

/** Makes a call about an exchange. One that fails may have cost its object the memory of it. */
export async function owing<T>(session: SessionId, x: ExchangeId, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    owe(session, [x]);
    throw cause;
  }
}
