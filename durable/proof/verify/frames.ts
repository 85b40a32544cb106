/** One pass over a session's frames: tree, counts and times at every head, and all that holds between frames. */
import type { Head } from "#durable/format/head.ts";
import { toBase64 } from "../bytes.ts";
import { Range } from "../merkle.ts";
import { type ReadFrame, type ReadItem, readSession } from "../read/session.ts";
import type { Context } from "./context.ts";
import { Exchanges } from "./exchanges.ts";
import { isTerminal, type StoredHead } from "./heads.ts";
import { Pushes } from "./pushes.ts";
import { type Counts, count, emptyCounts, REFUSED_GAP } from "./tally.ts";

/** Verifies what is stored under `last`, its newest head, against all `heads`. Returns how many frames were read. */
export async function verifyFrames(
  context: Context,
  folder: string,
  last: StoredHead,
  heads: readonly StoredHead[],
): Promise<number> {
  const { segments } = last.statement.predicate;
  const whole = isTerminal(last.statement.predicate);
  const pass = new FramePass(context, last, heads);
  const { source, report } = context;
  for await (const item of readSession({ source, folder, segments, report, whole })) pass.see(item);
  pass.finish(`${folder}${segments.findLast(({ name }) => name.startsWith("frames-"))?.name ?? ""}`);
  return pass.frames;
}

class FramePass {
  readonly #context: Context;
  readonly #last: StoredHead;
  readonly #heads: ReadonlyMap<number, readonly StoredHead[]>;
  readonly #exchanges: Exchanges;
  readonly #pushes: Pushes;
  readonly #tree = new Range();
  /** The tree can no longer be built: a segment is gone, and the head does not say enough of it. */
  #broken = false;
  /** Frames were not read: counts, and what is said of a whole session, cannot be checked. */
  #partial = false;
  #counts: Counts = emptyCounts();
  #newest = 0;
  /** Of the newest decision. */
  #policy: string | undefined;
  #lastFrame: ReadFrame | undefined;
  frames = 0;

  constructor(context: Context, last: StoredHead, heads: readonly StoredHead[]) {
    this.#context = context;
    this.#last = last;
    this.#heads = Map.groupBy(heads, ({ statement }) => statement.predicate.head.size);
    this.#exchanges = new Exchanges(context.report);
    this.#pushes = new Pushes(context.report, context.packMax);
  }

  see(item: ReadItem): void {
    if (item.kind === "skipped") {
      this.#skip(item.range);
      return;
    }
    this.frames += 1;
    this.#lastFrame = item;
    const { frame, leaf, seq, object } = item;
    if (seq === this.#tree.end) this.#tree.push(leaf);
    else this.#broken = true;
    this.#counts = count(this.#counts, frame);
    if (frame?.k === "decision") this.#policy = frame.set;
    this.#checkTime(item);
    this.#checkPlace(item);
    this.#pushes.see(item);
    if (frame) this.#exchanges.see(frame, seq, object);
    else this.#loseTrack();
    if (frame?.k === "gap" && frame.cause !== REFUSED_GAP)
      this.#context.report("session_gap", object, `frame ${seq}: ${frame.cause}: ${frame.missing}`);
    this.#checkHeads();
  }

  finish(object: string): void {
    const { predicate, subject } = this.#last.statement;
    const { report } = this.#context;
    if (!isTerminal(predicate)) return;
    const end = this.#lastFrame?.frame?.k;
    const expected = predicate.status === "closed" ? "session.end" : "session.truncated";
    if (!this.#partial && end !== expected)
      report("frame_place", object, `the last frame is ${end ?? "not there"}, not ${expected}`);
    this.#exchanges.finish(predicate.status === "closed", object);
    for (const { name, digest } of subject) {
      const id = digest["gitCommit"];
      if (id !== undefined) this.#pushes.checkSubject(this.#last.object, name, id);
    }
  }

  #skip(range: Range | undefined): void {
    if (range && range.start === this.#tree.end) this.#tree.append(range);
    else this.#broken = true;
    this.#partial = true;
    this.#loseTrack();
    this.#checkHeads();
  }

  #loseTrack(): void {
    this.#exchanges.skip();
    this.#pushes.skip();
  }

  #checkTime({ at, seq, object }: ReadFrame): void {
    if (at !== undefined && at < this.#newest)
      this.#context.report(
        "frame_time",
        object,
        `frame ${seq} is ${this.#newest - at} ms before the one before it`,
      );
    this.#newest = at ?? this.#newest;
  }

  #checkPlace({ frame, seq, object }: ReadFrame): void {
    const { report } = this.#context;
    const { session, status, head } = this.#last.statement.predicate;
    const isStart = frame?.k === "session.start";
    if (frame && isStart !== (seq === 0))
      report(
        "frame_place",
        object,
        isStart ? `frame ${seq} starts the session again` : "frame 0 is not session.start",
      );
    if (isStart && frame.session !== session)
      report("head_session", object, `these are frames of ${frame.session}, sealed as ${session}`);
    const isEnd = frame?.k === "session.end" || frame?.k === "session.truncated";
    if (isEnd && seq !== head.size - 1)
      report("frame_place", object, `frame ${seq} ends the session, and is not its last`);
    if (frame?.k === "session.truncated" && status === "truncated")
      report("session_truncated", object, `cut off after frame ${frame.lastDurable}: ${frame.cause}`);
  }

  /** Every head that has exactly the frames seen so far must have their root, and their counts. */
  #checkHeads(): void {
    for (const { object, statement } of this.#heads.get(this.#tree.end) ?? []) {
      const { head, counts, gateway } = statement.predicate;
      if (this.#broken) continue;
      if (toBase64(this.#tree.root()) !== head.rootHash)
        this.#context.report(
          "head_root",
          object,
          `the first ${head.size} frames do not have the root it signs`,
        );
      const wrong = this.#partial ? [] : differences(counts, this.#counts);
      if (wrong.length > 0) this.#context.report("head_counts", object, `counts ${wrong.join(", ")}`);
      const set = gateway.policy?.sha256;
      if (!this.#partial && set !== undefined && set !== this.#policy)
        this.#context.report(
          "head_policy",
          object,
          `names policy set ${set}; frames say ${this.#policy ?? "none"}`,
        );
    }
  }
}

function differences(said: Head["counts"], found: Counts): string[] {
  const names = ["frames", "exchanges", "c2s", "s2c", "denied", "gaps"] as const;
  return names.flatMap((name) =>
    said[name] === found[name] ? [] : `${said[name]} ${name} where there are ${found[name]}`,
  );
}
