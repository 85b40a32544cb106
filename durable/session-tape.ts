/** A session's tape: frames in order, durable in one transaction a turn, continued from its rows after a restart. */
import type { Bodies } from "#durable/format/connection.ts";
import type { BodyEnd, Direction, Frame } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import { Range } from "#durable/proof/merkle.ts";
import { emptyTally, FrameWriter, type Tally } from "#durable/store/frame-writer.ts";
import { type SessionRows, sessionRows } from "#durable/store/session-rows.ts";
import { epoch } from "./epoch.ts";
import { alert, type Means } from "./means.ts";

export type Live = Tally["live"][string];

export class SessionTape {
  readonly rows: SessionRows;
  readonly #storage: DurableObjectStorage;
  readonly #means: Pick<Means, "now" | "random">;
  /** Called after a batch that cut a segment: there is something to store. */
  readonly #cut: () => void;
  #writer: FrameWriter;
  #bodies = new Map<string, Bodies>();
  #cuts = { frames: 0, bytes: 0 };
  #along: (() => void)[] = [];
  #flushing: Promise<void> | undefined;
  /** Why frames were lost before they were acknowledged; said in a `gap` frame as soon as one can be written. */
  #owed: { cause: string; exchanges: ExchangeId[] } | undefined;

  constructor(storage: DurableObjectStorage, means: Pick<Means, "now" | "random">, cut: () => void) {
    this.#storage = storage;
    this.#means = means;
    this.#cut = cut;
    this.rows = sessionRows(storage.sql);
    this.#writer = this.#load();
  }

  get tally(): Tally {
    return this.#writer.tally;
  }

  /** Exchanges that an earlier run of the recorder left open: its end cut them. Empty after the first answer. */
  inherited(): ExchangeId[] {
    const { tally } = this.#writer;
    if (tally.epoch === epoch()) return [];
    tally.epoch = epoch();
    const cut = Object.keys(tally.live) as ExchangeId[];
    tally.live = {};
    return cut;
  }

  /** Writes now, in order, and returns when the turn's batch is durable. Throws when it cannot be: nothing was kept. */
  async record(write: (writer: FrameWriter) => void): Promise<void> {
    if (this.#owed) {
      const { cause, exchanges } = this.#owed;
      this.#owed = undefined;
      this.#writer.tally.gaps += 1;
      this.#writer.write({ k: "gap", cause, exchanges, missing: "frames that were never acknowledged" });
    }
    write(this.#writer);
    await this.flush();
  }

  /** One transaction for everything written in this turn of the event loop; all its callers wait for the same one. */
  flush(): Promise<void> {
    this.#flushing ??= new Promise<void>((resolve) => setTimeout(resolve, 0)).then(() => {
      this.#flushing = undefined;
      if (this.#writer.pending) this.save();
    });
    return this.#flushing;
  }

  begin(x: ExchangeId, bodies: Bodies): Live {
    const live: Live = { c2s: 0, s2c: 0, ended: [] };
    this.tally.live[x] = live;
    this.#bodies.set(x, bodies);
    return live;
  }

  data(x: ExchangeId, dir: Direction, off: number, bytes: Uint8Array): void {
    this.#writer.data(x, dir, off, bytes, this.#bodies.get(x) ?? "full");
    const live = this.tally.live[x];
    if (live) live[dir] = off + bytes.byteLength;
  }

  endBody(x: ExchangeId, dir: Direction, end: BodyEnd): void {
    const live = this.tally.live[x];
    if (!live || live.ended.includes(dir)) return;
    this.#writer.end(x, dir, live[dir], end);
    live.ended = [...live.ended, dir];
    if (live.ended.length < 2) return;
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
    this.#writer.write(frame);
    this.#writer.cut("frames");
    this.#writer.cut("bytes");
    this.along(also);
    this.save();
  }

  /** Has `write` done in the transaction of the next batch. */
  along(write: () => void): void {
    this.#along.push(write);
  }

  /** Makes what is written durable at once. Throws when the disk does not take it; memory is then as the disk is. */
  save(): void {
    const writer = this.#writer;
    const exchanges = Object.keys(writer.tally.live) as ExchangeId[];
    const { framesSegment, bytesSegment } = writer.tally;
    try {
      this.#storage.transactionSync(() => {
        for (const write of this.#along) write();
        this.rows.addBatch(writer.take());
        for (let n = this.#cuts.frames; n < framesSegment; n++) this.rows.addSegment("frames", n);
        for (let n = this.#cuts.bytes; n < bytesSegment; n++) this.rows.addSegment("bytes", n);
      });
    } catch (cause) {
      this.#along = [];
      this.#writer = this.#load();
      this.#owed = { cause: "the recorder could not write", exchanges };
      alert("not_recorded", { cause: String(cause) });
      throw new Error("the recorder could not write", { cause });
    }
    this.#along = [];
    const cut = framesSegment > this.#cuts.frames || bytesSegment > this.#cuts.bytes;
    this.#cuts = { frames: framesSegment, bytes: bytesSegment };
    if (cut) this.#cut();
  }

  #load(): FrameWriter {
    const { now, random } = this.#means;
    const tally = this.rows.fact<Tally>("tally");
    if (!tally) return new FrameWriter(emptyTally(epoch()), new Range(), now, random);
    const range = new Range();
    for (const leaves of this.rows.leaves())
      for (let at = 0; at < leaves.byteLength; at += 32) range.push(leaves.subarray(at, at + 32));
    this.#cuts = { frames: tally.framesSegment, bytes: tally.bytesSegment };
    return new FrameWriter(tally, range, now, random);
  }
}
