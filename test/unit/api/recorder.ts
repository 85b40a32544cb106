/** The recorder as the API calls it: sessions in a list, and a note of every call. */

import type { ApprovalView } from "#durable/format/approval/approval.ts";
import type { StandingRow } from "#durable/format/approval/standing.ts";
import type { ApprovalId, SessionId, StandingId } from "#durable/format/ids.ts";
import { NODE, type Principal, principalKey } from "#durable/format/principal.ts";
import type { Answer, Opening, SessionView } from "#durable/format/tape.ts";
import type { Scope } from "#workers/contract/evaluator.ts";
import type { Append, Custody, Decide, Hold, Kill, Read, Standing } from "#workers/contract/recorder.ts";

export const ALICE: Principal = { issuer: "https://idp.example", subject: "alice", groups: ["eng"] };
export const MINE = "ses_01KAZ00000000000000000000A" as SessionId;
export const OTHERS = "ses_01KAZ00000000000000000000B" as SessionId;
export const ABSENT = "ses_01KAZ00000000000000000000C" as SessionId;

export const APPROVAL = "apr_01KAZ00000000000000000000D" as ApprovalId;
export const STANDING = "sta_01KAZ00000000000000000000F" as StandingId;
const standing = (): StandingRow => ({
  standing: STANDING,
  state: "live",
  scope: "permit(principal, action, resource);",
  reason: "the release week",
  from: "2026-11-22T09:00:00.000Z",
  until: "2026-11-22T11:00:00.000Z",
  grants: [
    {
      by: { issuer: "https://idp.example", subject: "bob", groups: ["leads"] },
      at: "2026-11-22T09:00:00.000Z",
    },
  ],
});
/** The clock of the console. */
export const NOW = Date.parse("2026-11-22T09:10:00.000Z");

const approval = (): ApprovalView => ({
  approval: APPROVAL,
  state: "pending",
  openedAt: "2026-11-22T09:00:00.000Z",
  expires: "2026-11-22T10:00:00.000Z",
  session: MINE,
  exchange: "exc_01KAZ00000000000000000000E" as ApprovalView["exchange"],
  digest: "d".repeat(64),
  principal: ALICE,
  client: "git/2.39.5",
  connection: "code" as ApprovalView["connection"],
  operation: { kind: "unknown" },
  policies: ["main"],
  reason: "main is looked at",
  hold: [{ group: "leads", count: 1 }],
  events: [],
});

export const view = (
  session: SessionId,
  principal: Principal,
  over: Partial<SessionView> = {},
): SessionView => ({
  session,
  status: "open",
  principal,
  client: "git/2.39.5",
  openedAt: "2026-11-22T09:00:00.000Z",
  frames: 3,
  exchanges: 1,
  denied: 0,
  bytes: 120,
  backlog: 0,
  ...over,
});

type Own = Pick<Append, "ready" | "open" | "own" | "show" | "end">;

export class Recorder implements Read {
  readonly calls: unknown[] = [];
  readonly views = new Map<SessionId, SessionView>([
    [MINE, view(MINE, ALICE)],
    [OTHERS, view(OTHERS, { ...ALICE, subject: "bob" })],
  ]);
  /** Thrown by every call when set. */
  broken: Error | undefined;

  async ready(): Promise<Answer<null>> {
    this.#called("ready");
    return { ok: null };
  }

  async list(): Promise<Answer<readonly SessionView[]>> {
    this.#called("list");
    return { ok: [...this.views.values()] };
  }

  async show(session: SessionId): Promise<Answer<SessionView>> {
    this.#called("show", session);
    const found = this.views.get(session);
    return found
      ? { ok: found }
      : { no: { code: "unknown_path", message: `there is no session ${session}` } };
  }

  readonly kill: Kill = {
    kill: async (session, by) => {
      this.#called("kill", session, by.subject);
      const found = this.views.get(session);
      if (found?.status === "sealed")
        return { no: { code: "session_ended", message: "the session has ended" } };
      return this.show(session);
    },
  };

  readonly custody: Custody = {
    erase: async (session, by, reason) => {
      this.#called("erase", session, by.subject, reason);
      return this.show(session);
    },
    legalHold: async (session, by, state, reason) => {
      this.#called("legal-hold", session, by.subject, state, reason);
      return this.show(session);
    },
  };

  readonly decide: Decide = {
    list: async () => {
      this.#called("list approvals");
      return { ok: [approval()] };
    },
    show: (id, by) => this.#said("show approval", id, by),
    approve: (id, by, text) => this.#said("approve", id, by, text),
    deny: (id, by, text) => this.#said("deny", id, by, text),
    comment: (id, by, text) => this.#said("comment", id, by, text),
    breakGlass: (id, by, text) => this.#said("break-glass", id, by, text),
  };

  readonly standing: Standing = {
    list: async () => {
      this.#called("list standing");
      return { ok: [standing()] };
    },
    show: (id) => this.#stands("show standing", id),
    grant: async (terms, by) => {
      this.#called("grant", terms, by.subject);
      return { ok: standing() };
    },
    join: (id, groups, by) => this.#stands("join", id, groups, by.subject),
    revoke: (id, by, text) => this.#stands("revoke", id, by.subject, text),
  };

  readonly scope: Scope = {
    check: async (scope) =>
      scope.startsWith("permit")
        ? { ok: null }
        : { no: { code: "malformed", message: "scope: line 1: not Cedar" } },
  };

  /** What the agents' routes use of `Hold`. */
  readonly hold = {
    show: async (id, of, seen, ms) => {
      this.#called("wait", id, of.subject, seen, ms);
      const { approval: own, state, expires, events } = approval();
      return id === APPROVAL && principalKey(of) === principalKey(ALICE)
        ? { ok: { approval: own, state, expires, events } }
        : { no: { code: "unknown_path", message: `there is no approval ${id}` } };
    },
  } satisfies Pick<Hold, "show"> as unknown as Hold;

  async #stands(...[step, id, ...more]: [string, StandingId, ...unknown[]]): Promise<Answer<StandingRow>> {
    this.#called(step, id, ...more);
    return id === STANDING
      ? { ok: standing() }
      : { no: { code: "unknown_path", message: `there is no standing approval ${id}` } };
  }

  async #said(step: string, id: ApprovalId, by: Principal, text?: string): Promise<Answer<ApprovalView>> {
    this.#called(step, id, by.subject, text);
    return id === APPROVAL
      ? { ok: approval() }
      : { no: { code: "unknown_path", message: `there is no approval ${id}` } };
  }

  /** What the agents' routes use of `Append`. */
  readonly append = {
    ready: () => this.ready(),
    open: async (opening: Opening) => {
      this.#called("open", opening);
      return { ok: view(MINE, opening.principal) };
    },
    own: async (principal) => {
      this.#called("own", principal.subject);
      return { ok: [...this.views.values()].filter((found) => isOf(found, principal)) };
    },
    show: async (principal, session) => {
      this.#called("show own", principal.subject, session);
      const found = this.views.get(session);
      return found && isOf(found, principal)
        ? { ok: found }
        : { no: { code: "not_yours", message: "not yours" } };
    },
    end: async (principal, session) => {
      this.#called("end", principal.subject, session);
      return this.append.show(principal, session);
    },
  } satisfies Own as unknown as Append;

  #called(...call: unknown[]): void {
    this.calls.push(call);
    if (this.broken) throw this.broken;
  }
}

const isOf = (found: SessionView, principal: Principal): boolean =>
  principal.subject !== NODE.subject && principalKey(found.principal) === principalKey(principal);
