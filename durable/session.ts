/** SessionObject: one agent run. Numbers its frames, makes them durable, and seals them when it is over. */
import { DurableObject } from "cloudflare:workers";
import { sessionKeyOf } from "#durable/custody/session-key.ts";
import { isWiped, wipe } from "#durable/custody/wipe.ts";
import type { SoFar } from "#durable/format/approval/approval.ts";
import {
  type BodyEnd,
  type Content,
  type Direction,
  type EndReason,
  type Frame,
  fitsLine,
} from "#durable/format/frame.ts";
import type { ExchangeId, SessionId } from "#durable/format/ids.ts";
import { principalKey } from "#durable/format/principal.ts";
import type { RefusalCode } from "#durable/format/refusal.ts";
import type {
  Answer,
  DecisionTape,
  Opening,
  RequestTape,
  ResponseTape,
  SessionView,
  Target,
} from "#durable/format/tape.ts";
import type { FrameWriter } from "#durable/store/frame-writer.ts";
import { migrate } from "#durable/store/migrations.ts";
import { nextDelay } from "#durable/store/outbox.ts";
import { SESSION_MIGRATIONS, sessionRows } from "#durable/store/session-rows.ts";
import { staleness } from "#durable/store/taint/taints.ts";
import { alert, type Means } from "./means.ts";
import { HEAD_FRAMES, type Sealing, seal, signHead } from "./sealing.ts";
import { answerFrames, begunFrames, writeBegun } from "./session/begun.ts";
import { cutByTime, lastOf, nextDue } from "./session/due.ts";
import { type Following, heldOf, writeHeld } from "./session/held.ts";
import { type Ending, type Opened, truncated } from "./session/life.ts";
import { keyFor, startFrame } from "./session/opening.ts";
import { ownJournal } from "./session/own-journal.ts";
import { soFarOf } from "./session/so-far.ts";
import { COMMITS_MAX, commitsIn, decisionFrames, nextOrKnown } from "./session/spooled.ts";
import { type Sealed, viewOf } from "./session/view.ts";
import { type Live, SessionTape } from "./session-tape.ts";

/** An alarm that has not come so long after its time is not waited for. */
const LATE_MS = 3_000;

const TOO_MANY = "this session has pushed as many commits as it may; push again";

export abstract class SessionObject extends DurableObject {
  protected abstract readonly means: Means;
  #tape!: SessionTape;
  /** Kept in memory because every exchange asks; their rows are written with the frames that make them true. */
  #opened: Opened | undefined;
  #ending: Ending | undefined;
  #opening: Promise<void> | undefined;
  #headSize = 0;
  #pushed = 0;
  #attempts = 0;
  readonly #waiting = new Set<(reason: string) => void>();

  /** Continues from what is stored. Called once, by the constructor of the class that knows the means. */
  protected load(): void {
    migrate(this.ctx.storage.sql, SESSION_MIGRATIONS);
    // No call is taken before the tape is whole; when that fails the object is made anew at the next call.
    void this.ctx.blockConcurrencyWhile(() => this.#load());
  }

  async #load(): Promise<void> {
    const session = this.ctx.id.name as SessionId;
    const { means, ctx } = this;
    this.#tape = await SessionTape.load({
      session,
      storage: ctx.storage,
      means,
      journal: ownJournal(means, session, sessionRows(ctx.storage.sql)),
      cut: () => ctx.waitUntil(this.#due(means.now())),
    });
    const { rows } = this.#tape;
    this.#opened = rows.fact<Opened>("opened");
    this.#ending = rows.fact<Ending>("ending");
    this.#headSize = rows.lastHead()?.size ?? 0;
    this.#pushed = rows.pushedCount();
    const exchanges = this.#tape.inherited();
    // An alarm is lost when the object dies under it, or when the runtime has tried it too often; one that is late is
    // lost, or the runtime waits before it tries again, which may be long after whatever was in the way is gone.
    const set = await ctx.storage.getAlarm();
    const lost = set === null || set < means.now() - LATE_MS;
    const done = rows.fact("sealed") && (!sessionKeyOf(rows) || isWiped(rows));
    if (this.#opened && !done && lost)
      await this.#due(this.#ending ? means.now() : nextDue(this.#opened, this.#tape.tally, means));
    if (!this.#opened || this.#ending || exchanges.length === 0) return;
    const ending = { reason: "truncated", at: means.now() } as const;
    this.#close(ending, () => truncated(this.#tape.tally.frames - 1, exchanges));
  }

  /**
   * Records request, known body, what it contains, and the decision. `opening` opens the session where it is not open;
   * without it that is `session_ended`, and the caller asks the directory again.
   */
  async begin(session: SessionId, opening: Opening | undefined, tape: RequestTape): Promise<Answer<null>> {
    if (opening && !this.#ending) await this.open(session, opening);
    // It may have ended while it told the directory of itself.
    if (this.#ending) return this.#over(session);
    if (!this.#opened) return no("session_ended", `session ${session} is not open`);
    const { tally, rows } = this.#tape;
    const { x, decision } = tape;
    if (tally.live[x]) return no("malformed", `exchange ${x} has begun already`);
    const frames = begunFrames(tape);
    // Before anything is counted: half of what belongs together must never be written.
    if (!frames) return no("too_large", "the request is too long for the record");
    const commits = decision?.verdict === "allow" ? commitsIn(tape.content) : [];
    // Nothing may come between this and the frames that follow.
    const stale = decision && staleness(tally, tape.taints ?? []);
    if (stale) return stale;
    if (!this.#admit(commits.length)) return this.#over(session, "max");
    const answer = await this.#record((writer) => {
      tally.exchanges += 1;
      if (decision?.verdict === "deny") tally.denied += 1;
      if (decision) tally.policy = decision.set;
      writeBegun(this.#tape, writer, tape, frames);
      for (const { id } of commits) this.#tape.along(() => rows.addPushed(id));
    });
    // Cut by the end that came meanwhile: nothing of it may leave any more.
    return this.#ending ? this.#over(session) : answer;
  }

  /** Whether the last head can still name so many commits more; otherwise the session ends here. */
  #admit(commits: number): boolean {
    if (this.#pushed > 0 && this.#pushed + commits > COMMITS_MAX) return false;
    this.#pushed += commits;
    return true;
  }

  /** Request bytes at `off` of an exchange that began as spooled. Bytes recorded before are not doubled. */
  async spool(x: ExchangeId, off: number, bytes: Uint8Array): Promise<Answer<null>> {
    const live = this.#tape.tally.live[x];
    const place = live ? nextOrKnown(live, off, bytes.byteLength) : "next";
    if (typeof place === "object") return place;
    if (place === "next") return this.#recordLive(x, () => this.#tape.spool(x, off, bytes));
    await this.#tape.settled();
    return { ok: null };
  }

  /** Spooled bytes from `off` on, a megabyte at most; none at the end. Only while the exchange is under way. */
  async spooled(x: ExchangeId, off: number): Promise<Answer<Uint8Array>> {
    if (!this.#tape.tally.live[x]?.spooled) return no("not_recorded", `nothing of ${x} is spooled any more`);
    return { ok: this.#tape.rows.spooled(x, off) ?? new Uint8Array(0) };
  }

  /** Records what a spooled body contains and the decision on it, which ends the body. Returns where it may go. */
  async decide(session: SessionId, x: ExchangeId, tape: DecisionTape): Promise<Answer<Target>> {
    const { tally, rows } = this.#tape;
    const live = tally.live[x];
    if (this.#ending || !live) return no("session_ended", `${x} is not under way in this session`);
    const decided = decisionFrames(x, live, tape);
    if ("no" in decided) return decided;
    const allowed = tape.decision.verdict === "allow";
    const commits = allowed ? commitsIn(tape.content) : [];
    const stale = staleness(tally, tape.taints);
    if (stale) return stale;
    if (!this.#admit(commits.length)) {
      await this.#over(session, "max");
      return no("session_ended", TOO_MANY);
    }
    const answer = await this.#recordLive(x, (writer) => {
      if (tape.decision.verdict === "deny") tally.denied += 1;
      tally.policy = tape.decision.set;
      for (const frame of decided.frames) writer.write(frame);
      if (tape.decision.verdict === "hold") live.held = { ...decided.target, seen: 0 };
      else this.#tape.endBody(x, "c2s", allowed ? "complete" : "refused");
      for (const { id } of commits) this.#tape.along(() => rows.addPushed(id));
    });
    return "no" in answer ? answer : { ok: decided.target };
  }

  /** What was said of the approval that a held exchange waits for. Returns where it may go when it is released, which it is once. */
  async follow(x: ExchangeId, said: Following): Promise<Answer<Target>> {
    if (!this.#admit(said.end?.released?.length ?? 0)) return no("session_ended", TOO_MANY);
    const held = heldOf(x, this.#tape.tally.live[x], said);
    if ("no" in held) return held;
    const answer = await this.#recordLive(x, (writer, live) => writeHeld(this.#tape, writer, live, x, said));
    return "no" in answer ? answer : { ok: held.target };
  }

  /** Tells the directory too, so that whoever asks it next is given a new session. */
  async #over(session: SessionId, reason?: EndReason): Promise<Answer<null>> {
    if (reason) await this.end(reason);
    await this.means.directory.tell(this.#view());
    return no("session_ended", `session ${session} has ended`);
  }

  /** Opens the session unless it is open. Its open head is in the ledger before this returns (EVIDENCE §3). */
  async open(session: SessionId, opening: Opening): Promise<void> {
    this.#opening ??= this.#open({ session, opening, at: this.means.now() }).catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    await this.#opening;
  }

  async respond(x: ExchangeId, tape: ResponseTape): Promise<Answer<null>> {
    const frames = answerFrames(x, tape);
    if (!frames) return no("upstream_protocol", "the answer's headers are too long for the record");
    const live = this.#tape.tally.live[x];
    if (live?.responded) {
      // Its reply was lost on the way: what was recorded stands, once.
      await this.#tape.settled();
      return { ok: null };
    }
    return this.#recordLive(x, (writer) => {
      if (live) live.responded = true;
      for (const frame of frames) writer.write(frame);
      if (tape.bytes) this.#tape.data(x, "s2c", 0, tape.bytes, tape.end);
      else if (tape.end) this.#tape.endBody(x, "s2c", tape.end);
    });
  }

  /** Body bytes of one direction at `off`, and with their end what they contained, where it is known. Bytes recorded before are not doubled. */
  async append(
    x: ExchangeId,
    dir: Direction,
    off: number,
    bytes: Uint8Array | undefined,
    end?: BodyEnd,
    content: readonly Content[] = [],
  ): Promise<Answer<null>> {
    if (!content.every(fitsLine))
      return no("upstream_protocol", "what the answer says is too long for the record");
    const live = this.#tape.tally.live[x];
    const length = bytes?.byteLength ?? 0;
    if (live && (bytes || end) && off !== live[dir]) {
      if (off + length > live[dir]) return no("malformed", `bytes at ${off}, but ${live[dir]} are recorded`);
      await this.#tape.settled();
      return { ok: null };
    }
    return this.#recordLive(x, (writer) => {
      for (const frame of content) writer.write(frame);
      if (bytes) this.#tape.data(x, dir, off, bytes, end);
      else if (end) this.#tape.endBody(x, dir, end);
    });
  }

  /** Request bytes that were read after a refusal and thrown away: their length and digest are kept. */
  async discarded(x: ExchangeId, off: number, length: number, sha256: string): Promise<Answer<null>> {
    return this.#recordLive(x, (writer) => {
      const missing = `${length} request bytes from ${off}, sha256 ${sha256}`;
      if (length > 0) writer.write({ k: "gap", cause: "refused", exchanges: [x], missing });
      this.#tape.endBody(x, "c2s", "refused");
    });
  }

  /** Something was left out on purpose; says what. */
  async note(cause: string, missing: string): Promise<Answer<null>> {
    return this.#record((writer) => {
      this.#tape.tally.gaps += 1;
      writer.write({ k: "gap", cause, exchanges: [], missing });
    });
  }

  /** Resolves with the reason when the session is over: live exchanges race it. */
  async over(): Promise<string> {
    if (this.#ending) return this.#ending.reason;
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
    });
  }

  /** Ends the session: live bodies are marked as cut, nothing more is recorded, sealing follows on its own. */
  async end(reason: EndReason, by?: string): Promise<Answer<SessionView>> {
    if (!this.#opened) return no("session_ended", "this session was never opened");
    if (!this.#ending) {
      this.#tape.cutBodies();
      this.#close({ reason, at: this.means.now() }, () => {
        return { k: "session.end", reason, ...(by === undefined ? {} : { by }) } as const;
      });
      await this.means.directory.tell(this.#view());
    }
    return { ok: this.#view() };
  }

  async view(): Promise<SessionView | undefined> {
    return this.#opened && this.#view();
  }

  /** Undefined when it has ended. */
  async soFar(): Promise<SoFar | undefined> {
    return this.#opened && !this.#ending ? soFarOf(this.#opened.at, this.#tape) : undefined;
  }

  /** All that a session does by itself: cut by time, progress heads, idle and maximum time, sealing. Retried for ever. */
  override async alarm(): Promise<void> {
    try {
      await this.#tend();
      this.#attempts = 0;
    } catch (cause) {
      this.#attempts += 1;
      const session = this.#opened?.session ?? "";
      alert("sealing_delayed", { session, attempt: this.#attempts, cause: String(cause) });
      // First: the runtime gives an alarm up that has failed often enough.
      await this.#due(this.means.now() + nextDelay(this.#attempts, Math.random()));
      await this.#tellDirectory().catch((error: unknown) => {
        alert("directory_not_told", { session, cause: String(error) });
      });
    }
  }

  async #tend(): Promise<void> {
    const opened = this.#opened;
    const { rows } = this.#tape;
    if (!opened || isWiped(rows)) return;
    await this.open(opened.session, opened.opening);
    const { limits, now } = this.means;
    if (!this.#ending) {
      if (now() >= lastOf(opened, limits)) await this.end("max");
      else if (now() >= this.#tape.tally.at + limits.idleSeconds * 1000) await this.end("idle");
      else cutByTime(this.#tape, this.means);
    }
    // Heads and segments are made from rows: what is in the journal joins them now.
    this.#tape.save();
    const sealed = await seal(this.#sealing(opened));
    this.#headSize = rows.lastHead()?.size ?? 0;
    if (sealed) {
      const pseudonym = await this.means.pseudonym(principalKey(opened.opening.principal));
      rows.setFact("sealed", { ...sealed, ...(sessionKeyOf(rows) && { pseudonym }) } satisfies Sealed);
      await this.#tape.leaveJournal();
      await this.#tellDirectory();
      if (!sessionKeyOf(rows)) return;
      await wipe(this.ctx.storage, rows, pseudonym);
      this.#opened = rows.fact<Opened>("opened");
      return;
    }
    await this.#tellDirectory();
    if (!this.#ending) await this.#due(nextDue(opened, this.#tape.tally, this.means));
    else await this.#due(now());
  }

  async #open(opened: Opened): Promise<void> {
    if (!this.#opened) {
      const key = await keyFor(opened, this.means);
      const newest = await this.means.ledger.newest();
      const begun = { ...opened, ...(newest && { notBefore: newest }) };
      this.#tape.writeWith(startFrame(begun), () => {
        this.#tape.rows.setFact("opened", begun);
        if (key) this.#tape.rows.setFact("key", key);
      });
      this.#opened = begun;
      await this.#due(nextDue(opened, this.#tape.tally, this.means));
    }
    await signHead(this.#sealing(this.#opened), "open");
    this.#headSize = Math.max(this.#headSize, 1);
    await this.means.directory.tell(this.#view());
  }

  /** The last frame of the session, durable at once, with everything before it. */
  #close(ending: Ending, frame: () => Frame): void {
    this.#tape.closeWith(frame(), () => this.#tape.rows.setFact("ending", ending));
    this.#ending = ending;
    for (const resolve of this.#waiting) resolve(ending.reason);
    this.#waiting.clear();
    this.ctx.waitUntil(this.#due(this.means.now()));
  }

  async #recordLive(x: ExchangeId, write: (writer: FrameWriter, live: Live) => void): Promise<Answer<null>> {
    if (this.#ending) return no("session_ended", `this session has ended (${this.#ending.reason})`);
    const live = this.#tape.tally.live[x];
    if (!live) return no("not_recorded", `exchange ${x} is not under way in this session`);
    return this.#record((writer) => write(writer, live));
  }

  async #record(write: (writer: FrameWriter) => void): Promise<Answer<null>> {
    await this.#tape.record(write);
    if (this.#tape.tally.frames - this.#headSize >= HEAD_FRAMES)
      this.ctx.waitUntil(this.#due(this.means.now()));
    return { ok: null };
  }

  #sealing(opened: Opened): Sealing {
    return { means: this.means, rows: this.#tape.rows, opened, ending: this.#ending };
  }

  #view(): SessionView {
    const opened = this.#opened;
    if (!opened) throw new Error("the session is not open");
    return viewOf(opened, this.#ending, this.#tape.tally, this.#tape.rows);
  }

  async #tellDirectory(): Promise<void> {
    if (this.#opened) await this.means.directory.tell(this.#view());
  }

  async #due(at: number): Promise<void> {
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > at || set < this.means.now()) await this.ctx.storage.setAlarm(at);
  }
}

const no = (code: RefusalCode, message: string) => ({ no: { code, message } });
