/** The recorder's entrypoint for the gateway: what policy holds, until it is released, which takes an approval and is once. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { enoughOf } from "#durable/approval/rules.ts";
import type {
  ApprovalRow,
  ApprovalView,
  HoldNews,
  HoldTape,
  ReleaseTape,
} from "#durable/format/approval/approval.ts";
import { passesAgain } from "#durable/format/approval/rounds.ts";
import type { Resting, StandingRow } from "#durable/format/approval/standing.ts";
import {
  type ApprovalId,
  type ExchangeId,
  mintApprovalId,
  type SessionId,
  type StandingId,
} from "#durable/format/ids.ts";
import { type Principal, principalKey } from "#durable/format/principal.ts";
import type { Answer, Begun } from "#durable/format/tape.ts";
import type { Following } from "#durable/session/held.ts";
import { type Approval, approvalOf, approvalsOf, pinsOf, sessionOf, standingOf } from "#durable/stubs.ts";
import type { Hold as HoldContract } from "#workers/contract/recorder.ts";
import { type Env, recorderEnv } from "../env.ts";
import { keyed } from "../recorder/keyed.ts";
import { cleared, no, recorded } from "../recorder.ts";
import { recorderMeans } from "../recorder-means.ts";

/** Between finding an approval for some content and asking it, it may be over: then there is another. */
const ATTEMPTS = 3;

export class Hold extends WorkerEntrypoint<Env> implements HoldContract {
  async open(
    session: SessionId,
    x: ExchangeId,
    tape: HoldTape,
    by: { readonly named?: ApprovalId; readonly standing?: StandingId },
  ): Promise<Answer<HoldNews>> {
    return recorded<HoldNews>(async () => {
      const shown = await keyed(tape.shown, recorderMeans(this.env).pseudonym);
      const joined = await this.#joined({ session, x }, { ...tape, shown }, by);
      if ("no" in joined) return joined;
      const { approval, expires, events } = joined.ok;
      const { digest, hold, justification } = tape;
      const frame = {
        approval,
        digest,
        hold,
        expires,
        ...(justification !== undefined && { justification }),
      };
      const answer = await sessionOf(recorderEnv(this.env).sessions, session).follow(x, {
        hold: frame,
        events,
      });
      return "no" in answer ? answer : joined;
    });
  }

  async standing({
    principal,
    hold,
  }: Pick<HoldTape, "principal" | "hold">): Promise<Answer<readonly StandingRow[]>> {
    return recorded<readonly StandingRow[]>(async () => {
      const live = await standingOf(recorderEnv(this.env).directory).liveStanding();
      return { ok: live.filter((row) => enoughOf({ principal, hold }, restingOf(row)) !== undefined) };
    });
  }

  async wait(approval: ApprovalId, seen: number, ms: number): Promise<Answer<HoldNews>> {
    return recorded<HoldNews>(async () => {
      const news = await this.#approval(approval).wait({ seen, ms });
      return news ? { ok: news } : notThere(approval);
    });
  }

  async release(
    session: SessionId,
    x: ExchangeId,
    approval: ApprovalId,
    { body, commits, accepts }: ReleaseTape,
  ): Promise<Answer<Begun>> {
    return recorded<Begun>(async () => {
      // A definition that has changed again is not the one that somebody looked at.
      if (accepts && !(await this.#isStill(accepts))) return movedOn(accepts);
      const { used, news } = await this.#approval(approval).use(x);
      if (!used) return no("approval_over", `${approval} is ${news.state}`);
      const by = news.events.find(({ step }) => step === "standing")?.standing?.standing;
      // From here on whoever revokes it cuts this exchange; who has revoked it before has stopped it.
      if (by && !(await this.#standing.restOn(by, { approval, session, x })))
        return no("denied", `${by}, by which it was approved in advance, is revoked or over`);
      if (accepts && !(await this.#pins().accept(accepts.connection, accepts.principal, accepts)))
        return movedOn(accepts);
      const followed = await this.#follow(session, x, news, { released: commits });
      if ("no" in followed) return followed;
      const claims = body ? ({ kind: "spooled", ...body } as const) : ({ kind: "none" } as const);
      return cleared(this.env, session, x, followed.ok, claims);
    });
  }

  async leave(
    session: SessionId,
    x: ExchangeId,
    approval: ApprovalId,
    voids?: string,
  ): Promise<Answer<HoldNews>> {
    return recorded<HoldNews>(async () => {
      const news = await this.#approval(approval).leave({
        waiter: { session, x },
        ...(voids !== undefined && { void: voids }),
      });
      const followed = await this.#follow(session, x, news, {});
      return "no" in followed ? followed : { ok: news };
    });
  }

  async outcome(
    session: SessionId,
    x: ExchangeId,
    approval: ApprovalId,
    text: string,
  ): Promise<Answer<HoldNews>> {
    return recorded<HoldNews>(async () => {
      const news = await this.#approval(approval).outcome(x, text);
      const followed = await this.#follow(session, x, news);
      return "no" in followed ? followed : { ok: news };
    });
  }

  async show(approval: ApprovalId, of: Principal, seen: number, ms: number): Promise<Answer<HoldNews>> {
    return recorded<HoldNews>(async () => {
      const view = await this.#approval(approval).show();
      if (!view || principalKey(view.principal) !== principalKey(of)) return notThere(approval);
      return this.wait(approval, seen, ms);
    });
  }

  /** The approval for this content, which may have been asked for, or given, before. */
  async #joined(
    waiter: { readonly session: SessionId; readonly x: ExchangeId },
    tape: HoldTape,
    { named, standing }: { readonly named?: ApprovalId; readonly standing?: StandingId },
  ): Promise<Answer<HoldNews>> {
    const row = standing && (await this.#standing.standing(standing));
    const resting = row?.state === "live" ? { standing: restingOf(row) } : {};
    const { directory, settings } = recorderEnv(this.env);
    const ttlMs = settings.approvalSeconds * 1000;
    if (named !== undefined) {
      const view = await this.#approval(named).show();
      if (!view || principalKey(view.principal) !== principalKey(tape.principal)) return notThere(named);
      if (view.digest !== tape.digest) {
        await this.#approval(named).leave({
          waiter: { session: view.session, x: view.exchange },
          void: "the content was changed",
        });
        return no("approval_over", `${named} is for other content, so it is void: ask again without it`);
      }
      if (view.state !== "pending" && view.state !== "approved")
        return no("approval_over", `${named} is ${view.state}`);
    }
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const now = Date.now();
      const fresh = mintApprovalId(now, crypto.getRandomValues(new Uint8Array(10)));
      // What was released too long ago for another round is found once, and then asked for anew.
      const rounds = tape.rounds === true && attempt === 0;
      const approval = await approvalsOf(directory).claim(tape.digest, fresh, now + ttlMs, rounds);
      if (approval === undefined)
        return no("rate_limited", "too many operations wait for approval: try again later");
      const news = await this.#approval(approval).join({ tape, waiter, ttlMs, ...resting });
      if (news.state === "pending" || news.state === "approved") return { ok: news };
      if (rounds && passesAgain(news, now)) return { ok: news };
      const over = await this.#approval(approval).show();
      if (over) await approvalsOf(directory).tellApproval(rowOf(over));
    }
    return no("not_recorded", "no approval could be asked for");
  }

  #follow(session: SessionId, x: ExchangeId, { events }: HoldNews, end?: Following["end"]) {
    return sessionOf(recorderEnv(this.env).sessions, session).follow(x, { events, ...(end && { end }) });
  }

  get #standing() {
    return standingOf(recorderEnv(this.env).directory);
  }

  async #isStill({ connection, principal, tool, digest }: Accepts): Promise<boolean> {
    const [known] = await this.#pins().known(connection, principal, [tool]);
    return (known?.shown ?? known?.pinned)?.digest === digest;
  }

  #pins() {
    return pinsOf(recorderEnv(this.env).directory);
  }

  #approval(approval: ApprovalId): Approval {
    return approvalOf(recorderEnv(this.env).approvals, approval);
  }
}

const restingOf = ({ standing, scope, until, grants }: StandingRow): Resting => ({
  ...{ standing, scope, until },
  by: grants.map(({ by }) => by),
});

const rowOf = ({ events: _, shown: __, ...row }: ApprovalView): ApprovalRow => row;

type Accepts = NonNullable<ReleaseTape["accepts"]>;
const movedOn = ({ tool }: Accepts) =>
  no("approval_over", `the definition of ${tool} has changed again while this waited: send it again`);

const notThere = (approval: ApprovalId) => no("unknown_path", `there is no approval ${approval}`);
