/** The recorder's entrypoint for the console: what waits for approval, and what people say of it. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Said } from "#durable/approval/approval.ts";
import { whyNotBreak } from "#durable/approval/rules.ts";
import type { ApprovalRow, ApprovalView } from "#durable/format/approval/approval.ts";
import type { ApprovalId } from "#durable/format/ids.ts";
import { type Principal, principalKey } from "#durable/format/principal.ts";
import type { Answer } from "#durable/format/tape.ts";
import { alert } from "#durable/means.ts";
import { type Approval, approvalOf, approvalsOf, sessionOf } from "#durable/stubs.ts";
import type { Decide as DecideContract } from "#workers/contract/recorder.ts";
import { type Env, recorderEnv } from "../env.ts";
import { no, recorded } from "../recorder.ts";
import { recorderMeans } from "../recorder-means.ts";

export class Decide extends WorkerEntrypoint<Env> implements DecideContract {
  async list(): Promise<Answer<readonly ApprovalRow[]>> {
    return recorded(async () => ({ ok: await approvalsOf(recorderEnv(this.env).directory).approvals() }));
  }

  async show(approval: ApprovalId, by: Principal): Promise<Answer<ApprovalView>> {
    const answer = await this.#said(approval, (one) => one.say({ step: "view", by }));
    if ("no" in answer) return answer;
    const { ok: view } = answer;
    return recorded<ApprovalView>(async () => {
      const soFar = await sessionOf(recorderEnv(this.env).sessions, view.session).soFar();
      return { ok: { ...view, ...(soFar && { soFar }) } };
    });
  }

  async approve(approval: ApprovalId, by: Principal, text?: string): Promise<Answer<ApprovalView>> {
    return this.#said(approval, (one) =>
      one.say({ step: "approve", by, ...(text !== undefined && { text }) }),
    );
  }

  async deny(approval: ApprovalId, by: Principal, text?: string): Promise<Answer<ApprovalView>> {
    return this.#said(approval, (one) => one.say({ step: "deny", by, ...(text !== undefined && { text }) }));
  }

  /** In the log before it has any effect: an entry without one, after a crash, says no more than that it was tried. */
  async breakGlass(approval: ApprovalId, by: Principal, text: string): Promise<Answer<ApprovalView>> {
    return recorded<ApprovalView>(async () => {
      const { approvals, settings } = recorderEnv(this.env);
      const view = await approvalOf(approvals, approval).show();
      if (!view) return no("unknown_path", `there is no approval ${approval}`);
      const why = whyNotBreak(view, by, settings.breakGlass);
      if (why !== undefined) return no("denied", why);
      if (view.state !== "pending")
        return no("approval_over", `${approval} is ${view.state}: nothing can be decided any more`);
      const { ledger, pseudonym } = recorderMeans(this.env);
      const who = `hmac:${await pseudonym(principalKey(by))}` as const;
      await ledger.attest(`${approval} ${who}`, {
        kind: "break-glass",
        ...{ session: view.session, approval, by: who },
      });
      alert("break_glass", { approval, session: view.session, by: who });
      return this.#said(approval, (one) => one.say({ step: "break-glass", by, text }));
    });
  }

  async comment(approval: ApprovalId, by: Principal, text: string): Promise<Answer<ApprovalView>> {
    return this.#said(approval, (one) => one.say({ step: "comment", by, text }));
  }

  /** What was said is in every session that waits for it before this returns. */
  #said(approval: ApprovalId, say: (one: Approval) => Promise<Said>): Promise<Answer<ApprovalView>> {
    return recorded<ApprovalView>(async () => {
      const { approvals, sessions } = recorderEnv(this.env);
      const said = await say(approvalOf(approvals, approval));
      if ("no" in said) return no(said.no === "not_there" ? "unknown_path" : said.no, said.message);
      const { ok: view, waiters } = said;
      // One whose exchange is over has what was said until then; the next that waits for it is told everything.
      await Promise.all(
        waiters.map(({ session, x }) => sessionOf(sessions, session).follow(x, { events: view.events })),
      );
      return { ok: view };
    });
  }
}
