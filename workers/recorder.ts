/** The recorder service: the objects, the archive and the seal key; reached only through the entrypoints below. */

import { WorkerEntrypoint } from "cloudflare:workers";
import type { BodyEnd, Content } from "#durable/format/frame.ts";
import type { ConnectionName, ExchangeId, SessionId } from "#durable/format/ids.ts";
import { type Principal, principalKey } from "#durable/format/principal.ts";
import type { RefusalCode } from "#durable/format/refusal.ts";
import type {
  Answer,
  Begun,
  ClearanceClaims,
  DecisionTape,
  Opening,
  RequestTape,
  ResponseTape,
  SessionView,
  Target,
} from "#durable/format/tape.ts";
import { alert } from "#durable/means.ts";
import { owing } from "#durable/run.ts";
import { directoryOf, type Session, sessionOf } from "#durable/stubs.ts";
import { letGo } from "#workers/contract/let-go.ts";
import type {
  Append as AppendContract,
  Custody as CustodyContract,
  Kill as KillContract,
  Read as ReadContract,
  Spool as SpoolContract,
} from "#workers/contract/recorder.ts";
import { bodyClaims, mintClearance, openClearance } from "#workers/vault/clearance.ts";
import { type Env, recorderEnv } from "./env.ts";
import { Claims, calledIn, claimIn } from "./recorder/claims.ts";
import { keyed } from "./recorder/keyed.ts";
import { spentSentence } from "./recorder/meter.ts";
import { policyInUse } from "./recorder/policy-in-use.ts";
import { admitRefusal } from "./recorder/refusal-rate.ts";
import { meterOf, recorderMeans } from "./recorder-means.ts";
import { isOf, NODE_OPENING, sessionFor, unopened } from "./session-for.ts";

/** How long egress may take to begin: a clearance is for now, not for later. */
const CLEARANCE_MS = 60_000;

/** One for the isolate: every hook and every call comes through it. */
const claims = new Claims();

export class Append extends WorkerEntrypoint<Env> implements AppendContract {
  async begin(opening: Opening, tape: RequestTape): Promise<Answer<Begun>> {
    return recorded<Begun>(async () => {
      const { x, connection, operation, decision } = tape;
      // Budgets are for what policy does not deny, and are drawn on before anything of it is recorded.
      const counted = { connection, operation: operation.kind };
      const spent =
        (decision && decision.verdict !== "deny") || tape.body.kind === "spooled"
          ? await meterOf(this.env).begin(x, opening.principal, counted)
          : undefined;
      if (spent) return { no: { code: "rate_limited", message: spentSentence(spent), later: spent.later } };
      const begun = await this.#begun(
        { ...opening, ...meterOf(this.env).bounds(opening.principal) },
        (session, stub, introduction) =>
          owing(session, x, async () =>
            stub.begin(session, introduction, { ...tape, content: await this.#keyed(tape.content) }),
          ),
        tape,
      );
      if ("no" in begun) {
        await meterOf(this.env).undo(x);
        return begun;
      }
      const { session } = begun.ok;
      await meterOf(this.env).used(x, sizeOf(tape.body));
      // The log knows of a policy set before anything leaves that it has allowed.
      if (tape.decision) await policyInUse(recorderMeans(this.env), tape.decision.set, session);
      if (tape.decision?.verdict !== "allow") return { ok: { session } };
      const { body } = tape;
      if (body.kind === "spooled")
        return no("malformed", "a spooled body is decided upon when all of it is there");
      return cleared(this.env, session, tape.x, tape, bodyClaims(body));
    });
  }

  /** In the session that it says, or that a hook has claimed it for, or of its own client. */
  async #begun(
    opening: Opening,
    begin: Parameters<typeof sessionFor>[2],
    { content, decision }: RequestTape,
  ): ReturnType<typeof sessionFor> {
    const by = opening.principal;
    const input = (opening.conversation ?? opening.session) ? undefined : calledIn(content);
    const claimed = input === undefined ? undefined : claims.sessionOf(by, input, Date.now());
    if (input !== undefined && claimed) {
      const led = await sessionFor(this.env, { ...opening, session: claimed }, begin);
      if ("ok" in led) claims.take(by, input, claimed);
      if (!("no" in led) || led.no.code !== "session_ended") return led;
      claims.end(by, input, claimed);
    }
    const begun = await sessionFor(this.env, opening, begin);
    const claim = claimIn(content);
    if ("ok" in begun && claim && decision?.verdict !== "deny")
      claims.stand(by, claim.input, { ...begun.ok, event: claim.event }, Date.now());
    return begun;
  }

  async decide(session: SessionId, x: ExchangeId, tape: DecisionTape): Promise<Answer<Begun>> {
    return recorded<Begun>(async () => {
      const decided = await owing(session, x, async () =>
        this.#session(session).decide(session, x, { ...tape, content: await this.#keyed(tape.content) }),
      );
      if ("no" in decided) return decided;
      if (tape.decision.verdict !== "allow") return { ok: { session } };
      const { length, sha256 } = tape;
      return cleared(this.env, session, x, decided.ok, { kind: "spooled", length, sha256 });
    });
  }

  async spool(session: SessionId, x: ExchangeId, off: number, bytes: Uint8Array): Promise<Answer<null>> {
    const answer = await this.#live(session, x, (stub) => stub.spool(x, off, bytes));
    await meterOf(this.env).used(x, bytes.byteLength);
    return answer;
  }

  async spooled(session: SessionId, x: ExchangeId, off: number): Promise<Answer<Uint8Array>> {
    return recorded(() => this.#session(session).spooled(x, off));
  }

  async respond(session: SessionId, x: ExchangeId, tape: ResponseTape): Promise<Answer<null>> {
    const answer = await this.#live(session, x, async (stub) =>
      stub.respond(x, { ...tape, ...(tape.content && { content: await this.#keyed(tape.content) }) }),
    );
    await meterOf(this.env).used(x, tape.bytes?.byteLength ?? 0);
    if (tape.end) await meterOf(this.env).end(x, tape.content);
    return answer;
  }

  async release(
    session: SessionId,
    x: ExchangeId,
    off: number,
    bytes: Uint8Array,
    end?: BodyEnd,
    content: readonly Content[] = [],
  ): Promise<Answer<null>> {
    const answer = await this.#live(session, x, async (stub) =>
      stub.append(x, "s2c", off, bytes, end, await this.#keyed(content)),
    );
    await meterOf(this.env).used(x, bytes.byteLength);
    return answer;
  }

  async contained(session: SessionId, x: ExchangeId, content: readonly Content[]): Promise<Answer<null>> {
    return this.#live(session, x, async (stub) =>
      stub.append(x, "c2s", 0, undefined, undefined, await this.#keyed(content)),
    );
  }

  async finish(
    session: SessionId,
    x: ExchangeId,
    off: number,
    end: BodyEnd,
    content?: readonly Content[],
  ): Promise<Answer<null>> {
    const answer = await this.#live(session, x, async (stub) =>
      stub.append(x, "s2c", off, undefined, end, await this.#keyed(content ?? [])),
    );
    await meterOf(this.env).end(x, content);
    return answer;
  }

  async discarded(
    session: SessionId,
    x: ExchangeId,
    off: number,
    length: number,
    sha256: string,
  ): Promise<Answer<null>> {
    return this.#live(session, x, (stub) => stub.discarded(x, off, length, sha256));
  }

  async ended(session: SessionId): Promise<string> {
    return this.#session(session).over();
  }

  async refuse(tape: RequestTape, response: ResponseTape): Promise<Answer<{ session: SessionId } | null>> {
    return recorded<{ session: SessionId } | null>(async () => {
      const admitted = admitRefusal(Date.now());
      if (!admitted) return { ok: null };
      const begun = await sessionFor(this.env, NODE_OPENING, async (session, stub, introduction) => {
        if (introduction) await stub.open(session, introduction);
        if (admitted.dropped > 0)
          await stub.note("rate", `${admitted.dropped} refusals of callers who were not known`);
        return stub.begin(session, introduction, { ...tape, content: await this.#keyed(tape.content) });
      });
      if ("no" in begun) return begun;
      const answer = await this.#session(begun.ok.session).respond(tape.x, response);
      return "no" in answer ? answer : begun;
    });
  }

  async open(opening: Opening): Promise<Answer<SessionView>> {
    return recorded(async () => {
      const { directory } = recorderMeans(this.env);
      const bounded = { ...opening, ...meterOf(this.env).bounds(opening.principal) };
      const found = await directory.resolve(`explicit ${crypto.randomUUID()}`, bounded);
      if (!("session" in found)) return { no: unopened(found) };
      const stub = this.#session(found.session);
      await stub.open(found.session, bounded);
      const view = await stub.view();
      return view ? { ok: view } : no("not_recorded", "the session could not be opened");
    });
  }

  async ready(): Promise<Answer<null>> {
    return recorded(() => answers(this.env));
  }

  async own(principal: Principal): Promise<Answer<readonly SessionView[]>> {
    return recorded(async () => ({
      ok: await directoryOf(recorderEnv(this.env).directory).list(principal),
    }));
  }

  async show(principal: Principal, session: SessionId): Promise<Answer<SessionView>> {
    return recorded(async () => {
      const view = await newest(this.env, session);
      return view && (await isOf(this.env, view, principal)) ? { ok: view } : notYours(session);
    });
  }

  async end(principal: Principal, session: SessionId): Promise<Answer<SessionView>> {
    return recorded(async () => {
      const shown = await this.show(principal, session);
      return "no" in shown ? shown : this.#session(session).end("request");
    });
  }

  #live(
    session: SessionId,
    x: ExchangeId,
    call: (stub: Session) => Promise<Answer<null>>,
  ): Promise<Answer<null>> {
    return recorded(() => owing(session, x, () => call(this.#session(session))));
  }

  #keyed(content: readonly Content[]): Promise<readonly Content[]> {
    return keyed(content, recorderMeans(this.env).pseudonym);
  }

  #session(session: SessionId): Session {
    return sessionOf(recorderEnv(this.env).sessions, session);
  }
}

export class Spool extends WorkerEntrypoint<Env> implements SpoolContract {
  async append(clearance: string, off: number, bytes: Uint8Array): Promise<Answer<null>> {
    return recorded(() =>
      this.#of(clearance, async (stub, x) => {
        const answer = await stub.append(x, "c2s", off, bytes);
        await meterOf(this.env).used(x, bytes.byteLength);
        return answer;
      }),
    );
  }

  async finish(clearance: string, off: number, end: BodyEnd): Promise<Answer<null>> {
    return recorded(() => this.#of(clearance, (stub, x) => stub.append(x, "c2s", off, undefined, end)));
  }

  async read(clearance: string, off: number): Promise<Answer<Uint8Array>> {
    return recorded(() => this.#of(clearance, (stub, x) => stub.spooled(x, off)));
  }

  /** The clearance names session and exchange; it may have expired since: a long upload is still under it. */
  async #of<T>(
    clearance: string,
    call: (stub: Session, x: ExchangeId) => Promise<Answer<T>>,
  ): Promise<Answer<T>> {
    const env = recorderEnv(this.env);
    const claims = await openClearance(env.clearanceKey, clearance, 0);
    const { session, x } = claims;
    return owing(session, x, () => call(sessionOf(env.sessions, session), x));
  }
}

export class Read extends WorkerEntrypoint<Env> implements ReadContract {
  async ready(): Promise<Answer<null>> {
    return recorded(() => answers(this.env));
  }

  async list(): Promise<Answer<readonly SessionView[]>> {
    return recorded(async () => ({ ok: await directoryOf(recorderEnv(this.env).directory).list() }));
  }

  async show(session: SessionId): Promise<Answer<SessionView>> {
    return recorded(async () => {
      const view = await newest(this.env, session);
      return view ? { ok: view } : no("unknown_path", `there is no session ${session}`);
    });
  }
}

export class Kill extends WorkerEntrypoint<Env> implements KillContract {
  async kill(session: SessionId, by: Principal): Promise<Answer<SessionView>> {
    return recorded(async () => {
      const view = await newest(this.env, session);
      if (!view) return no("unknown_path", `there is no session ${session}`);
      return sessionOf(recorderEnv(this.env).sessions, session).end("killed", `${by.issuer} ${by.subject}`);
    });
  }
}

export class Custody extends WorkerEntrypoint<Env> implements CustodyContract {
  async erase(session: SessionId, by: Principal, reason: string): Promise<Answer<SessionView>> {
    return recorded(async () => this.#directory().erase(session, await this.#asked(by, reason)));
  }

  async legalHold(
    session: SessionId,
    by: Principal,
    state: "set" | "lifted",
    reason: string,
  ): Promise<Answer<SessionView>> {
    return recorded(async () => this.#directory().legalHold(session, state, await this.#asked(by, reason)));
  }

  #directory() {
    return directoryOf(recorderEnv(this.env).directory);
  }

  /** The log names nobody: whoever has the node's key can tell whose pseudonym it is. */
  async #asked(by: Principal, reason: string) {
    return { by: `hmac:${await recorderMeans(this.env).pseudonym(principalKey(by))}`, reason };
  }
}

/** What was recorded is durable here: the object's output gate held its reply until then. */
export async function cleared(
  env: Env,
  session: SessionId,
  x: ExchangeId,
  { connection, method, path }: Target,
  body: ClearanceClaims["body"],
): Promise<Answer<Begun>> {
  const clearance = await mintClearance(recorderEnv(env).clearanceKey, {
    session,
    x,
    connection: connection as ConnectionName,
    method,
    path,
    verdict: "allow",
    body,
    expires: Date.now() + CLEARANCE_MS,
    nonce: x,
  });
  return { ok: { session, clearance } };
}

/** Whether the objects can be reached: the directory is asked for a session that never was. */
async function answers(env: Env): Promise<Answer<null>> {
  await directoryOf(recorderEnv(env).directory).find("ses_00000000000000000000000000" as SessionId);
  return { ok: null };
}

/** A sealed session is asked of the directory, a live one of itself: the directory's copy is as old as its last news. */
async function newest(env: Env, session: SessionId): Promise<SessionView | undefined> {
  const { directory, sessions } = recorderEnv(env);
  const found = await directoryOf(directory).find(session);
  if (!found || found.view.status === "sealed") return found?.view;
  return (await sessionOf(sessions, session).view()) ?? found.view;
}

export const no = (code: RefusalCode, message: string) => ({ no: { code, message } });
const sizeOf = (body: RequestTape["body"]): number =>
  body.kind === "whole" ? body.bytes.byteLength : body.kind === "stream" ? body.prefix.byteLength : 0;
const notYours = (session: SessionId) => no("not_yours", `session ${session} is not one of yours`);

/** No record, no traffic: whatever goes wrong in here reaches the caller as `not_recorded`, and the node's log in full. */
export async function recorded<T>(work: () => Promise<Answer<T>>): Promise<Answer<T>> {
  try {
    const answer = await work();
    const said: Answer<T> = "no" in answer ? { no: answer.no } : { ok: answer.ok };
    letGo(answer);
    return said;
  } catch (cause) {
    alert("not_recorded", { cause: String(cause instanceof Error ? (cause.stack ?? cause) : cause) });
    return no("not_recorded", "the recorder cannot write, so nothing passes");
  }
}
