/** The recorder's entrypoint for the console: what is approved in advance, each change of it in the log. */

import { WorkerEntrypoint } from "cloudflare:workers";
import { createHash } from "node:crypto";
import type { Rest } from "#durable/approval/standing.ts";
import type { Person, StandingRow, StandingTerms } from "#durable/format/approval/standing.ts";
import { mintStandingId, type StandingId } from "#durable/format/ids.ts";
import { type Principal, principalKey } from "#durable/format/principal.ts";
import type { Answer } from "#durable/format/tape.ts";
import { alert, type StandingApprovals } from "#durable/means.ts";
import { approvalOf, sessionOf, standingOf } from "#durable/stubs.ts";
import type { Standing as StandingContract } from "#workers/contract/recorder.ts";
import { type Env, recorderEnv } from "../env.ts";
import { no, recorded } from "../recorder.ts";
import { recorderMeans } from "../recorder-means.ts";

type Change = "grant" | "join" | "revoke";

export class Standing extends WorkerEntrypoint<Env> implements StandingContract {
  async list(): Promise<Answer<readonly StandingRow[]>> {
    return recorded<readonly StandingRow[]>(async () => ({ ok: await this.#all.allStanding() }));
  }

  async show(standing: StandingId): Promise<Answer<StandingRow>> {
    return recorded<StandingRow>(async () => this.#found(standing));
  }

  /** In the log before it has any effect: an entry without one, after a crash, says no more than that it was tried. */
  async grant(
    { scope, reason, groups, seconds }: StandingTerms,
    by: Principal,
  ): Promise<Answer<StandingRow>> {
    return recorded<StandingRow>(async () => {
      const person = personOf(by, groups);
      if (typeof person === "string") return no("denied", person);
      const now = Date.now();
      const standing = mintStandingId(now, crypto.getRandomValues(new Uint8Array(10)));
      const at = new Date(now).toISOString();
      const until = new Date(now + seconds * 1000).toISOString();
      const row = { standing, scope, reason, from: at, until, grants: [{ by: person, at }] };
      await this.#attest("grant", row, by);
      if (!(await this.#all.grantStanding(row)))
        return no("rate_limited", "too much is approved in advance already: revoke what is not needed");
      return this.#found(standing);
    });
  }

  async join(standing: StandingId, groups: readonly string[], by: Principal): Promise<Answer<StandingRow>> {
    return recorded<StandingRow>(async () => {
      const found = await this.#found(standing);
      if ("no" in found) return found;
      const { ok: row } = found;
      if (row.state !== "live") return over(row);
      const person = personOf(by, groups);
      if (typeof person === "string") return no("denied", person);
      if (row.grants.some((grant) => principalKey(grant.by) === principalKey(by)))
        return no("approval_over", "you have granted it already");
      await this.#attest("join", row, by);
      const grant = { by: person, at: new Date().toISOString() };
      const joined = await this.#all.joinStanding(standing, grant);
      return joined ? { ok: joined } : over(row);
    });
  }

  /** It has its effect before it is in the log, and again when it is said again: a log that is down must not keep it in force. */
  async revoke(standing: StandingId, by: Principal, text?: string): Promise<Answer<StandingRow>> {
    return recorded<StandingRow>(async () => {
      const found = await this.#found(standing);
      if ("no" in found) return found;
      const { ok: row } = found;
      const groups = [...new Set(row.grants.flatMap((grant) => grant.by.groups))];
      const own = row.grants.some((grant) => principalKey(grant.by) === principalKey(by));
      const shared = groups.filter((group) => by.groups.includes(group));
      if (by.agent !== undefined) return no("denied", "an agent has no say in it");
      if (!own && shared.length === 0)
        return no("denied", `this takes whoever granted it, or a member of ${groups.join(" or ")}`);
      const revoked = {
        by: row.revoked?.by ?? plain(by, shared),
        at: row.revoked?.at ?? new Date().toISOString(),
        ...(text !== undefined && { text }),
      };
      const resting = await this.#all.revokeStanding(standing, revoked);
      await Promise.all(resting.map((rest) => this.#cut(rest, standing, revoked)));
      await this.#all.rested(standing);
      await this.#attest("revoke", row, by);
      return this.#found(standing);
    });
  }

  /** What is under way hears of it, and its session says so; what has ended stays as it ended. */
  async #cut(
    { approval, session, x }: Rest,
    standing: StandingId,
    { by, text }: { readonly by: Person; readonly text?: string },
  ): Promise<void> {
    const { sessions, approvals } = recorderEnv(this.env);
    const stub = sessionOf(sessions, session);
    if ("no" in (await stub.follow(x, { events: [] }))) return;
    const words = text === undefined ? standing : `${standing}: ${text}`;
    const { events } = await approvalOf(approvals, approval).revoke({ by, text: words });
    await stub.follow(x, { events });
  }

  async #attest(event: Change, { standing, scope, until }: Omit<StandingRow, "state">, by: Principal) {
    const { ledger, pseudonym } = recorderMeans(this.env);
    const who = `hmac:${await pseudonym(principalKey(by))}` as const;
    const scopeSha256 = createHash("sha256").update(scope).digest("hex");
    const facts = { standing, event, by: who, scopeSha256, until };
    await ledger.attest(`${standing} ${event} ${who}`, { kind: "standing-approval", ...facts });
    alert(`standing_approval_${event}`, { standing, by: who });
  }

  async #found(standing: StandingId): Promise<Answer<StandingRow>> {
    const row = await this.#all.standing(standing);
    return row ? { ok: row } : no("unknown_path", `there is no standing approval ${standing}`);
  }

  get #all(): StandingApprovals {
    return standingOf(recorderEnv(this.env).directory);
  }
}

const over = ({ standing, state }: StandingRow) => no("approval_over", `${standing} is ${state}`);

const plain = ({ issuer, subject, name }: Principal, groups: readonly string[]): Person => ({
  ...{ issuer, subject, groups: [...groups] },
  ...(name !== undefined && { name }),
});

/** Whoever grants it, as these groups; or why they cannot. */
function personOf(by: Principal, groups: readonly string[]): Person | string {
  if (by.agent !== undefined) return "an agent approves nothing";
  const missing = groups.find((group) => !by.groups.includes(group));
  return missing === undefined ? plain(by, groups) : `you are not a member of ${missing}`;
}
