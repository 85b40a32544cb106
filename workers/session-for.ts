/** Finds the session an exchange belongs to. The answer is remembered in the recorder's isolate: it changes once a session. */
import type { SessionId } from "#durable/format/ids.ts";
import { asPseudonym, NODE, type Principal, principalKey } from "#durable/format/principal.ts";
import type { RefusalCode } from "#durable/format/refusal.ts";
import { type Answer, type Opening, type SessionView, sessionKey } from "#durable/format/tape.ts";
import type { Unopened } from "#durable/means.ts";
import { directoryOf, type Session, sessionOf } from "#durable/stubs.ts";
import { type Env, recorderEnv } from "./env.ts";
import { recorderMeans } from "./recorder-means.ts";

export const NODE_OPENING: Opening = { principal: NODE, client: "steno" };

const KNOWN_MAX = 10_000;
/** By `sessionKey`. */
const known = new Map<string, SessionId>();
/** Explicit sessions, by id: the key of the principal they belong to. */
const owners = new Map<SessionId, string>();

export async function sessionFor(
  env: Env,
  opening: Opening,
  call: (session: SessionId, stub: Session, opening: Opening | undefined) => Promise<Answer<null>>,
): Promise<Answer<{ session: SessionId }>> {
  const { sessions, directory } = recorderEnv(env);
  if (opening.session) {
    const own = principalKey(opening.principal);
    if (owners.get(opening.session) !== own && !(await owns(env, opening.principal, opening.session)))
      return { no: { code: "not_yours", message: `session ${opening.session} is not one of yours` } };
    remember(owners, opening.session, own);
    const answer = await call(opening.session, sessionOf(sessions, opening.session), undefined);
    return "no" in answer ? answer : { ok: { session: opening.session } };
  }
  const key = sessionKey(opening);
  for (let attempt = 0; ; attempt++) {
    let session = known.get(key);
    // A session that has answered once is open: who opened it need not be told again.
    const introduction = session ? undefined : opening;
    if (!session) {
      const found = await directoryOf(directory).resolve(key, opening);
      if (!("session" in found)) return { no: unopened(found) };
      session = found.session;
    }
    const answer = await call(session, sessionOf(sessions, session), introduction);
    if (!("no" in answer)) {
      if (introduction) remember(known, key, session);
      return { ok: { session } };
    }
    if (answer.no.code === "session_ended") known.delete(key);
    // It ended since it was found; the principal's next exchange opens a new one.
    if (answer.no.code !== "session_ended" || attempt > 2) return answer;
  }
}

/** Says why there is no session, and when to try again. */
export function unopened(why: Unopened): { readonly code: RefusalCode; readonly message: string } {
  if ("full" in why)
    return { code: "backlog_full", message: "the archive is behind: no new sessions until it has caught up" };
  return { code: "rate_limited", message: `too many sessions were opened: try again in ${why.later} s` };
}

async function owns(env: Env, principal: Principal, session: SessionId): Promise<boolean> {
  const found = await directoryOf(recorderEnv(env).directory).find(session);
  return found !== undefined && (await isOf(env, found.view, principal));
}

/** Whether a session is this principal's, also where only a pseudonym is left of whose it is. */
export async function isOf(env: Env, view: SessionView, principal: Principal): Promise<boolean> {
  const whose = principalKey(view.principal);
  const own = principalKey(principal);
  return whose === own || whose === principalKey(asPseudonym(await recorderMeans(env).pseudonym(own)));
}

function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.size >= KNOWN_MAX) map.clear();
  map.set(key, value);
}
