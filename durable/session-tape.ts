/**
 * A session's tape: frames in order, durable before anybody is told so.
 *
 * Small batches go to the journal, which commits those of all sessions together; the tape keeps them in memory and
 * takes them into its own rows when there are many, or when something else has to be written there. Batches with body
 * chunks, and rows that belong to a frame, are written to the session's own rows at once.
 */
import type { Bodies } from "#durable/format/connection.ts";
import type { BodyEnd, Direction, Frame } from "#durable/format/frame.ts";
import type { ExchangeId, SessionId } from "#durable/format/ids.ts";
import { concat } from "#durable/proof/bytes.ts";
import { leafHash, Range } from "#durable/proof/merkle.ts";
import { type Batch, emptyTally, FrameWriter, type Tally } from "#durable/store/frame-writer.ts";
import { type SessionRows, sessionRows } from "#durable/store/session-rows.ts";
import type { JournalBatch } from "./journal.ts";
import { alert, type Means } from "./means.ts";
import { epoch, type Owed, owe, owedIn, settle } from "./run.ts";

export type Live = Tally["live"][string];
/** The journal, as one session sees it. */
export type OwnJournal = {
  /** To be asked once for each batch: whether other sessions write too, so that there is a commit to share. */
  shares(): boolean;
  append(batch: JournalBatch): Promise<void>;
  batches(): Promise<readonly JournalBatch[]>;
  forget(below: number): Promise<void>;
  drop(from: number): Promise<void>;
};
type Around = {
  readonly session: SessionId;
  readonly storage: DurableObjectStorage;
  readonly means: Pick<Means, "now" | "random">;
  readonly journal: OwnJournal;
  /** Called after a batch that cut a segment: there is something to store. */
  readonly cut: () => void;
};
/** A batch on its way through the journal; `durable` once that has acknowledged it. */
type Journalled = { readonly batch: JournalBatch; readonly leaves: Uint8Array; state: "sent" | "durable" };

/** A batch up to this goes through the journal when other sessions write too: writing a longer one twice costs more than the fsync it would share. */
const SMALL = 8 * 1024;
/** Journalled batches are taken into the rows when they are this much together. */
const FOLD_BYTES = 256 * 1024;
const CANNOT_WRITE = "the recorder could not write";

export class SessionTape {
  readonly rows: SessionRows;
  readonly #around: Around;
  #writer: FrameWriter;
  #bodies = new Map<string, Bodies>();
  #cuts = { frames: 0, bytes: 0 };
  #along: (() => void)[] = [];
  #flushing: Promise<void> | undefined;
  #following: Promise<void> | undefined;
  /** Not yet in the rows; in order. */
  #journalled: Journalled[] = [];
  #journalledBytes = 0;
  /** After a loss nothing goes through the journal any more: what it may still acknowledge must not come back. */
  #straight = false;
  /** The gap that is said already, and by which writer. */
  #said: { readonly owed: Owed; readonly writer: FrameWriter } | undefined;
  /** Of a writer that was given up: the first frame that nobody has. */
  readonly #givenUp = new WeakMap<FrameWriter, number>();

  private constructor(around: Around) {
    this.#around = around;
    this.rows = sessionRows(around.storage.sql);
    this.#writer = this.#continue();
  }

  /** Continues from the rows and what the journal holds beyond them. */
  static async load(around: Around): Promise<SessionTape> {
    const tape = new SessionTape(around);
    let { frames } = tape.tally;
    const beyond: JournalBatch[] = [];
    for (const batch of await around.journal.batches()) {
      if (batch.first !== frames) continue;
      beyond.push(batch);
      frames += batch.frames;
    }
    tape.#journalled = beyond.map((batch) => ({ batch, leaves: leavesOf(batch.lines), state: "durable" }));
    tape.#writer = tape.#continue();
    if (beyond.length > 0) tape.save();
    return tape;
  }

  get tally(): Tally {
    return this.#writer.tally;
  }

  /** The newest lines, LF-ended, in order: about `most` bytes of what is durable and not purged. */
  newest(most: number): Uint8Array {
    const parts = this.#journalled.map(({ batch }) => batch.lines);
    let size = parts.reduce((sum, part) => sum + part.byteLength, 0);
    for (const lines of size < most ? this.rows.newestLines() : []) {
      parts.unshift(lines);
      size += lines.byteLength;
      if (size >= most) break;
    }
    return concat(parts);
  }

  /** Exchanges that an earlier run of the recorder left open: its end cut them. Empty after the first answer. */
  inherited(): ExchangeId[] {
    const { tally } = this.#writer;
    if (tally.epoch === epoch()) return [];
    tally.epoch = epoch();
    const cut = Object.keys(tally.live) as ExchangeId[];
    tally.live = {};
    for (const x of cut) this.along(() => this.rows.dropSpooled(x));
    return cut;
  }

  /** Writes now, in order, and returns when it is durable. Throws when it cannot be: nothing of it was kept. */
  async record(write: (writer: FrameWriter) => void): Promise<void> {
    const owed = this.#sayOwed();
    const unclaimed = this.tally.join?.unclaimed;
    write(this.#writer);
    await this.settled();
    this.#tellUnclaimed(unclaimed);
    if (owed) await this.#settle(owed);
  }

  /** Operators hear at once of an agent that acts while its hooks are silent, not only at the session's end. */
  #tellUnclaimed(before = 0): void {
    const { join } = this.tally;
    if (!join || join.unclaimed <= before || !(join.conversation || join.hooks > 0)) return;
    const code = join.hooks === 0 ? "hooks_missing" : "not_claimed";
    alert(code, { session: this.#around.session, unclaimed: join.unclaimed, hooks: join.hooks });
  }

  /** Says what was lost, before anything else is written; once for each writer. */
  #sayOwed(): Owed | undefined {
    const writer = this.#writer;
    const owed = owedIn(this.#around.session);
    if (owed && (this.#said?.owed !== owed || this.#said.writer !== writer)) {
      this.#said = { owed, writer };
      writer.tally.gaps += 1;
      const missing = "frames that were never acknowledged";
      writer.write({ k: "gap", cause: CANNOT_WRITE, exchanges: owed.exchanges, missing });
    }
    return owed;
  }

  async #settle(owed: Owed): Promise<void> {
    await this.#around.storage.sync();
    settle(this.#around.session, owed);
  }

  /** Returns when everything written so far is durable. Throws when some of it was given up meanwhile, by whomever. */
  async settled(): Promise<void> {
    const writer = this.#writer;
    const { frames } = writer.tally;
    await this.flush();
    if (frames > (this.#givenUp.get(writer) ?? frames)) throw new Error(CANNOT_WRITE);
  }

  /**
   * Makes everything written so far durable, or gives it up. Calls that arrive while a commit is on its way are
   * committed after it, together: one after another, so that what is acknowledged is always a beginning of the tape.
   */
  async flush(): Promise<void> {
    if (this.#flushing) {
      this.#following ??= this.#flushing
        .catch(() => undefined)
        .then(() => {
          this.#following = undefined;
          return this.flush();
        });
      return this.#following;
    }
    return this.#begin();
  }

  #begin(): Promise<void> {
    const flushing = this.#commit().finally(() => {
      if (this.#flushing === flushing) this.#flushing = undefined;
    });
    this.#flushing = flushing;
    return flushing;
  }

  begin(x: ExchangeId, bodies: Bodies): Live {
    const live: Live = { c2s: 0, s2c: 0, ended: [] };
    this.tally.live[x] = live;
    this.#bodies.set(x, bodies);
    return live;
  }

  /** Body bytes at `off`, and how the body ended where these are the last. */
  data(x: ExchangeId, dir: Direction, off: number, bytes: Uint8Array, end?: BodyEnd): void {
    this.#writer.data(x, dir, off, bytes, this.#bodies.get(x) ?? "full", end);
    const live = this.tally.live[x];
    if (live) live[dir] = off + bytes.byteLength;
    if (end) this.#ended(x, dir);
  }

  /** Request bytes at `off` that `rows.spooled` gives again until the exchange ends. */
  spool(x: ExchangeId, off: number, bytes: Uint8Array): void {
    const pieces = this.#writer.spool(x, off, bytes, this.#bodies.get(x) ?? "full");
    for (const piece of pieces) this.along(() => this.rows.addSpooled(x, piece));
    const live = this.tally.live[x];
    if (live) live.c2s = off + bytes.byteLength;
  }

  endBody(x: ExchangeId, dir: Direction, end: BodyEnd): void {
    const live = this.tally.live[x];
    if (!live || live.ended.includes(dir)) return;
    this.#writer.end(x, dir, live[dir], end);
    this.#ended(x, dir);
  }

  /** There is no body in this direction, so there is no frame that ends it either. */
  noBody(x: ExchangeId, dir: Direction): void {
    this.#ended(x, dir);
  }

  #ended(x: ExchangeId, dir: Direction): void {
    const live = this.tally.live[x];
    if (!live) return;
    live.ended = [...live.ended, dir];
    if (live.ended.length < 2) return;
    if (live.spooled) this.along(() => this.rows.dropSpooled(x));
    delete this.tally.live[x];
    this.#bodies.delete(x);
  }

  /** Marks every body that has not ended as cut. */
  cutBodies(): void {
    for (const x of Object.keys(this.tally.live) as ExchangeId[])
      for (const dir of ["c2s", "s2c"] as const) this.endBody(x, dir, "cut");
  }

  /** Closes the current segments: what is written next begins new ones, and these can be stored. */
  cut(what: "frames" | "bytes"): void {
    this.#writer.cut(what);
  }

  /** Writes a frame and makes it durable at once, together with what `also` writes to other rows, or none of it. */
  writeWith(frame: Frame, also: () => void): void {
    this.#writer.write(frame);
    this.along(also);
    this.save();
  }

  /** The same for the last frame: both segments are cut with it. */
  closeWith(frame: Frame, also: () => void): void {
    // A session that ends by itself while the disk is nearly full must not end as if nothing had been lost.
    const owed = this.#sayOwed();
    this.#writer.endJoin();
    this.#writer.write(frame);
    this.#writer.cut("frames");
    this.#writer.cut("bytes");
    this.along(also);
    this.save();
    if (owed) this.#tidy(this.#settle(owed));
  }

  /** Has `write` done in the transaction of the next batch. */
  along(write: () => void): void {
    this.#along.push(write);
  }

  /** Takes what is pending, and what was journalled, into the rows. Throws when the disk does not: nothing was kept. */
  save(): void {
    const writer = this.#writer;
    const exchanges = Object.keys(writer.tally.live) as ExchangeId[];
    const { framesSegment, bytesSegment, frames } = writer.tally;
    const journalled = this.#journalled;
    try {
      this.#around.storage.transactionSync(() => {
        for (const write of this.#along) write();
        for (const each of journalled) this.rows.addBatch(asBatch(each));
        const batch = writer.take();
        this.rows.addBatch(batch);
        this.rows.setTally(batch.tally, writer.range.serialise());
        for (let n = this.#cuts.frames; n < framesSegment; n++) this.rows.addSegment("frames", n);
        for (let n = this.#cuts.bytes; n < bytesSegment; n++) this.rows.addSegment("bytes", n);
      });
    } catch (cause) {
      throw this.#lost(cause, exchanges);
    }
    this.#along = [];
    this.#journalled = [];
    this.#journalledBytes = 0;
    const cut = framesSegment > this.#cuts.frames || bytesSegment > this.#cuts.bytes;
    this.#cuts = { frames: framesSegment, bytes: bytesSegment };
    if (journalled.length > 0) this.#tidy(this.#around.journal.forget(frames));
    if (cut) this.#around.cut();
  }

  async #commit(): Promise<void> {
    const writer = this.#writer;
    if (!writer.pending) return;
    const shared = this.#around.journal.shares();
    const direct =
      !shared ||
      this.#straight ||
      this.#journalledBytes > FOLD_BYTES ||
      this.#along.length > 0 ||
      !writer.isSmall(SMALL);
    if (direct) return this.save();
    const { lines, tally } = writer.take();
    const [only] = lines;
    if (!only) return;
    const { leaves, ...batch } = only;
    await this.#journal({ ...batch, tally }, leaves);
  }

  /** The journal keeps it, or else the rows do, or nobody does and it is as if it had never been written. */
  async #journal(batch: JournalBatch, leaves: Uint8Array): Promise<void> {
    const journalled: Journalled = { batch, leaves, state: "sent" };
    this.#journalled.push(journalled);
    this.#journalledBytes += batch.lines.byteLength;
    try {
      await this.#around.journal.append(batch);
      journalled.state = "durable";
    } catch (cause) {
      alert("journal_failed", { cause: String(cause) });
      // Unless a later batch took it into the rows meanwhile, they are tried now.
      if (this.#journalled.includes(journalled)) this.save();
    }
  }

  /** Nothing of the session stays in the journal. */
  async leaveJournal(): Promise<void> {
    await this.#around.journal.forget(Number.MAX_SAFE_INTEGER);
  }

  /** Only tidying: batches that stay are recognised as taken over at the next load. */
  #tidy(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      alert("journal_not_tidied", { cause: String(cause) });
    });
  }

  /** Goes back to what is durable, so that memory and disk agree. */
  #lost(cause: unknown, exchanges: ExchangeId[]): Error {
    this.#along = [];
    const sent = this.#journalled.findIndex(({ state }) => state === "sent");
    if (sent >= 0) this.#journalled = this.#journalled.slice(0, sent);
    const given = this.#writer;
    this.#writer = this.#continue();
    this.#givenUp.set(given, this.tally.frames);
    this.#straight = true;
    this.#tidy(this.#around.journal.drop(this.tally.frames));
    owe(this.#around.session, exchanges);
    alert("not_recorded", { cause: String(cause) });
    return new Error(CANNOT_WRITE, { cause });
  }

  /** A writer that goes on after what is durable: the rows, then what the journal acknowledged. */
  #continue(): FrameWriter {
    const { now, random } = this.#around.means;
    const stored = this.rows.fact<Tally>("tally");
    this.#cuts = { frames: stored?.framesSegment ?? 0, bytes: stored?.bytesSegment ?? 0 };
    const newest = this.#journalled.at(-1)?.batch;
    const tally = newest ? (JSON.parse(newest.tally) as Tally) : (stored ?? emptyTally(epoch()));
    // Restored from O(log n) hashes, not made of every leaf again: an object is woken after each pause of ten seconds.
    const nodes = this.rows.fact<readonly string[]>("range");
    const range = Range.restore(0, stored?.frames ?? 0, nodes ?? []);
    for (const { leaves } of this.#journalled)
      for (let at = 0; at < leaves.byteLength; at += 32) range.push(leaves.subarray(at, at + 32));
    return new FrameWriter(tally, range, now, random);
  }
}

const asBatch = ({ batch: { tally: _, ...lines }, leaves }: Journalled): Pick<Batch, "lines" | "chunks"> => ({
  lines: [{ ...lines, leaves }],
  chunks: [],
});

/** The leaves of LF-ended lines: the journal keeps the lines only. */
function leavesOf(lines: Uint8Array): Uint8Array {
  const leaves: Uint8Array[] = [];
  for (let at = 0; at < lines.byteLength; ) {
    const end = lines.indexOf(10, at);
    leaves.push(leafHash(lines.subarray(at, end)));
    at = end + 1;
  }
  return concat(leaves);
}
