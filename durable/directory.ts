/** DirectoryObject: which sessions there are, which one a principal's next exchange joins, and how much waits for the archive. */
import { DurableObject } from "cloudflare:workers";
import { PENDING_MIGRATION, Pending } from "#durable/approval/pending.ts";
import { type Rest, STANDING_MIGRATION, Standing } from "#durable/approval/standing.ts";
import { PINS_MIGRATION, Pins, SHOWN_MIGRATION } from "#durable/catalogue/pins.ts";
import { SERVER_SESSIONS_MIGRATION, ServerSessions } from "#durable/catalogue/server-sessions.ts";
import { type Asked, CUSTODY_MIGRATION, Custody } from "#durable/custody/custody.ts";
import type { ApprovalRow } from "#durable/format/approval/approval.ts";
import type { Grant, StandingRow } from "#durable/format/approval/standing.ts";
import type { Acceptance, Definition, Known, PinState } from "#durable/format/catalogue/definition.ts";
import { type ApprovalId, mintSessionId, type SessionId, type StandingId } from "#durable/format/ids.ts";
import { asPseudonym, isPseudonym, type Principal, principalKey } from "#durable/format/principal.ts";
import type { Answer, Opening, SessionView } from "#durable/format/tape.ts";
import { migrate } from "#durable/store/migrations.ts";
import { alert, type Means } from "./means.ts";

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE session(id TEXT PRIMARY KEY, key TEXT NOT NULL, status TEXT NOT NULL, backlog INTEGER NOT NULL, view TEXT NOT NULL) WITHOUT ROWID;
   CREATE UNIQUE INDEX open_key ON session(key) WHERE status = 'open';
   CREATE INDEX unsealed ON session(status) WHERE status <> 'sealed';`,
  "CREATE INDEX owner ON session(view ->> '$.principal.issuer', view ->> '$.principal.subject', id)",
  CUSTODY_MIGRATION,
  PENDING_MIGRATION,
  STANDING_MIGRATION,
  PINS_MIGRATION,
  SERVER_SESSIONS_MIGRATION,
  SHOWN_MIGRATION,
];

/** How often sessions that are not sealed are looked after. */
const ROUND_MS = 5_000;
/** After so long a session is woken again: what it set itself to do may be lost while a disk is full. */
const AGAIN_MS = 5 * 60_000;
/** A session that has not opened after so long never will: whoever asked for it is gone. */
const OPENING_MS = 60_000;

/** Each session is an object, two heads and a seal: a principal that varies its name for itself must not make any number. */
const OPENINGS_A_MINUTE = 120;
const OPENINGS_AT_ONCE = 240;

/** Who may open another session, counted since this object was last loaded. */
class Openings {
  readonly #left = new Map<string, { tokens: number; at: number }>();

  /** Seconds until `who` may open a session; 0 when it may now, and then it has. `now` in milliseconds. */
  wait(who: string, now: number): number {
    const known = this.#left.get(who) ?? { tokens: OPENINGS_AT_ONCE, at: now };
    const gained = (Math.max(0, now - known.at) / 60_000) * OPENINGS_A_MINUTE;
    const tokens = Math.min(OPENINGS_AT_ONCE, known.tokens + gained);
    if (this.#left.size > 10_000) this.#left.clear();
    this.#left.set(who, { tokens: tokens < 1 ? tokens : tokens - 1, at: now });
    return tokens < 1 ? Math.ceil(((1 - tokens) * 60) / OPENINGS_A_MINUTE) : 0;
  }
}

export abstract class DirectoryObject extends DurableObject {
  protected abstract readonly means: Pick<
    Means,
    "now" | "random" | "wake" | "limits" | "pseudonym" | "archive" | "keys" | "ledger"
  >;
  readonly #sql = this.ctx.storage.sql;
  readonly #openings = new Openings();
  readonly #custody = new Custody(this.#sql, () => ({
    ...this.means,
    say: async (key, attestation) => {
      await this.means.ledger.bundle(await this.means.ledger.attest(key, attestation));
    },
  }));
  readonly #pending = new Pending(this.#sql);
  readonly #standing = new Standing(this.#sql);
  readonly #pins = new Pins(this.#sql);
  readonly #serverSessions = new ServerSessions(this.#sql);
  /** When each session was last woken; of what an earlier run left nothing is known. */
  readonly #woken = new Map<string, number>();

  protected load(): void {
    migrate(this.#sql, MIGRATIONS);
  }

  async resolve(
    key: string,
    opening: Opening,
  ): Promise<{ session: SessionId } | { full: number } | { later: number }> {
    const [open] = this.#sql.exec("SELECT id FROM session WHERE key = ? AND status = 'open'", key).toArray();
    if (open) return { session: open["id"] as SessionId };
    const { backlog } = this.#sql
      .exec("SELECT coalesce(sum(backlog), 0) AS backlog FROM session WHERE status <> 'sealed'")
      .one();
    if (Number(backlog) > this.means.limits.backlogBytes) return { full: Number(backlog) };
    const at = this.means.now();
    const later = this.#openings.wait(principalKey(opening.principal), at);
    if (later > 0) return { later };
    const session = mintSessionId(at, this.means.random(10));
    const { principal, client, conversation } = opening;
    const view: SessionView = {
      session,
      status: "open",
      principal,
      client,
      ...(conversation === undefined ? {} : { conversation }),
      openedAt: new Date(at).toISOString(),
      frames: 0,
      exchanges: 0,
      denied: 0,
      bytes: 0,
      backlog: 0,
    };
    this.#sql.exec("INSERT INTO session VALUES (?, ?, 'open', 0, ?)", session, key, JSON.stringify(view));
    this.#woken.set(session, at);
    await this.#round();
    return { session };
  }

  async find(session: SessionId): Promise<{ key: string; view: SessionView } | undefined> {
    const [row] = this.#sql.exec("SELECT key, view FROM session WHERE id = ?", session).toArray();
    return row && { key: String(row["key"]), view: this.#viewOf(row["view"]) };
  }

  async list(of?: Principal): Promise<SessionView[]> {
    if (of === undefined) return this.#views("SELECT view FROM session ORDER BY id DESC LIMIT 1000");
    const whose =
      "SELECT view FROM session WHERE view ->> '$.principal.issuer' = ? AND view ->> '$.principal.subject' = ?";
    const whoever = [of, asPseudonym(await this.means.pseudonym(principalKey(of)))];
    const views = whoever.flatMap((who) =>
      this.#views(`${whose} ORDER BY id DESC LIMIT 1000`, who.issuer, who.subject).filter(
        ({ principal }) => principalKey(principal) === principalKey(who),
      ),
    );
    return views.sort((a, b) => (a.session < b.session ? 1 : -1)).slice(0, 1000);
  }

  #views(query: string, ...args: string[]): SessionView[] {
    return this.#sql
      .exec(query, ...args)
      .toArray()
      .map((row) => this.#viewOf(row["view"]));
  }

  #viewOf(text: unknown): SessionView {
    const view = JSON.parse(String(text)) as SessionView;
    return view.status === "sealed" ? { ...view, ...this.#custody.viewOf(view.session) } : view;
  }

  /** News may arrive out of order: a session never goes back from its end. */
  async tell(view: SessionView): Promise<void> {
    this.#sql.exec(
      `UPDATE session SET status = ?1, backlog = ?2, view = ?3, key = CASE WHEN ?5 THEN id ELSE key END WHERE id = ?4
       AND instr('open closing sealed', status) <= instr('open closing sealed', ?1)`,
      view.status,
      view.backlog,
      JSON.stringify(view),
      view.session,
      // The key names whose session it is as well.
      isPseudonym(view.principal) ? 1 : 0,
    );
    if (view.status === "sealed") this.#woken.delete(view.session);
    else await this.#round();
  }

  /** The open approval for this content, or `fresh`, which is one from now on until `expires`; undefined when too many wait. With `rounds` it may be one that was released. */
  async claim(
    digest: string,
    fresh: ApprovalId,
    expires: number,
    rounds = false,
  ): Promise<ApprovalId | undefined> {
    const claimed = this.#pending.claim(digest, fresh, { now: this.means.now(), expires, rounds });
    return claimed === "full" ? undefined : claimed;
  }

  async tellApproval(row: ApprovalRow): Promise<void> {
    this.#pending.tell(row);
  }

  async forgetApproval(approval: ApprovalId): Promise<void> {
    this.#pending.forget(approval);
  }

  /** The newest 1,000, those that wait for a decision first. */
  async approvals(): Promise<ApprovalRow[]> {
    return this.#pending.list();
  }

  async grantStanding(row: Omit<StandingRow, "state">): Promise<boolean> {
    return this.#standing.grant(row, Date.parse(row.until), this.means.now());
  }

  async joinStanding(standing: StandingId, grant: Grant): Promise<StandingRow | undefined> {
    return this.#standing.join(standing, grant, this.means.now());
  }

  /** What is under way by it. */
  async revokeStanding(
    standing: StandingId,
    revoked: NonNullable<StandingRow["revoked"]>,
  ): Promise<readonly Rest[]> {
    this.#standing.revoke(standing, revoked);
    return this.#standing.resting(standing);
  }

  async rested(standing: StandingId): Promise<void> {
    this.#standing.rested(standing);
  }

  async restOn(standing: StandingId, rest: Rest): Promise<boolean> {
    return this.#standing.rest(standing, rest, this.means.now());
  }

  async standing(standing: StandingId): Promise<StandingRow | undefined> {
    return this.#standing.one(standing, this.means.now());
  }

  async liveStanding(): Promise<readonly StandingRow[]> {
    return this.#standing.live(this.means.now());
  }

  async allStanding(): Promise<readonly StandingRow[]> {
    return this.#standing.list(this.means.now());
  }

  /** What is known of each tool, in the order they are named; null when nobody was ever shown it. */
  async known(
    connection: string,
    principal: Principal,
    tools: readonly string[],
  ): Promise<readonly (Known | null)[]> {
    const who = await this.means.pseudonym(principalKey(principal));
    const now = this.means.now();
    return tools.map((tool) => this.#pins.known(connection, who, tool, now) ?? null);
  }

  /** What a list shows somebody, before it does: all of it is remembered, or nothing. Null when there are too many tools. */
  async learn(
    connection: string,
    principal: Principal,
    shown: readonly Definition[],
  ): Promise<readonly PinState[] | null> {
    const who = await this.means.pseudonym(principalKey(principal));
    const times = { now: this.means.now(), keptMs: this.means.limits.maxSeconds * 1000 };
    return this.ctx.storage.transactionSync(() => this.#pins.learn(connection, who, shown, times) ?? null);
  }

  async opened(connection: string, principal: Principal, serverSession: string): Promise<void> {
    const who = await this.means.pseudonym(principalKey(principal));
    const id = await this.means.pseudonym(`session of ${connection} ${serverSession}`);
    this.#serverSessions.opened(id, who, this.means.now());
  }

  async isOwn(connection: string, principal: Principal, serverSession: string): Promise<boolean> {
    const who = await this.means.pseudonym(principalKey(principal));
    const id = await this.means.pseudonym(`session of ${connection} ${serverSession}`);
    return this.#serverSessions.isOwn(id, who, this.means.now());
  }

  /** Pins what was approved. False when whoever asked was shown another since. */
  async accept(connection: string, principal: Principal, accepted: Acceptance): Promise<boolean> {
    const who = await this.means.pseudonym(principalKey(principal));
    const now = this.means.now();
    return this.ctx.storage.transactionSync(() => this.#pins.accept(connection, who, accepted, now));
  }

  /** Destroys the key of a sealed session. Returns when it is begun: an archive that is down does not make it forgotten. */
  async erase(session: SessionId, asked: Asked): Promise<Answer<SessionView>> {
    return this.#inCustody(session, (view) =>
      isPseudonym(view.principal)
        ? this.#custody.askErasure(session, asked)
        : `session ${session} is not encrypted: what is in the archive stays readable`,
    );
  }

  /** While it is set the session cannot be erased, here or, where the archive has such a thing, there. */
  async legalHold(session: SessionId, state: "set" | "lifted", asked: Asked): Promise<Answer<SessionView>> {
    return this.#inCustody(session, () => this.#custody.askHold(session, state, asked));
  }

  async #inCustody(
    session: SessionId,
    ask: (view: SessionView) => string | undefined,
  ): Promise<Answer<SessionView>> {
    const found = await this.find(session);
    if (!found) return { no: { code: "unknown_path", message: `there is no session ${session}` } };
    const { status } = found.view;
    const wrong = status === "sealed" ? ask(found.view) : `session ${session} is not sealed yet`;
    if (wrong !== undefined) return { no: { code: "not_erasable", message: wrong } };
    await this.#round();
    await this.#work(session);
    const after = await this.find(session);
    return { ok: after?.view ?? found.view };
  }

  /** What fails is kept, and tried again at every round. */
  async #work(session: SessionId): Promise<void> {
    try {
      await this.#custody.work(session);
    } catch (cause) {
      alert("custody_delayed", { session, cause: String(cause) });
    }
  }

  /** Wakes what an earlier run left behind: nobody else may ever ask for those sessions again. */
  override async alarm(): Promise<void> {
    const now = this.means.now();
    const unsealed = this.#sql.exec("SELECT id, view FROM session WHERE status <> 'sealed'").toArray();
    for (const row of unsealed) {
      const session = row["id"] as SessionId;
      if (now < (this.#woken.get(session) ?? Number.NEGATIVE_INFINITY) + AGAIN_MS) continue;
      const { openedAt } = JSON.parse(String(row["view"])) as SessionView;
      try {
        if (await this.means.wake(session)) this.#woken.set(session, now);
        // A crash came between giving the id and opening the session: nothing was recorded in it.
        else if (now > Date.parse(openedAt) + OPENING_MS)
          this.#sql.exec("DELETE FROM session WHERE id = ?", session);
      } catch (cause) {
        alert("not_woken", { session, cause: String(cause) });
      }
    }
    const pending = this.#custody.pending();
    for (const session of pending) await this.#work(session);
    if (unsealed.length + pending.length > 0) await this.#round();
  }

  async #round(): Promise<void> {
    const set = await this.ctx.storage.getAlarm();
    // One that is late is lost, or the runtime waits before it tries again.
    if (set === null || set < this.means.now() - ROUND_MS)
      await this.ctx.storage.setAlarm(this.means.now() + ROUND_MS);
  }
}
