/** One pass over a session's frames: tree, counts and times at every head, and all that holds between frames. */
import type { Frame } from "#durable/format/frame.ts";
import type { Head, SegmentEntry } from "#durable/format/head.ts";
import { toBase64 } from "../../bytes.ts";
import { Range } from "../../merkle.ts";
import { Chunks } from "../../read/chunks.ts";
import { framesSegments } from "../../read/frames.ts";
import { declaredRange } from "../../read/segment.ts";
import { ahead } from "../ahead.ts";
import type { Context } from "../context.ts";
import { isTerminal, type StoredHead } from "../heads.ts";
import type { Examined, Step } from "./examine.ts";
import { Exchanges } from "./exchanges.ts";
import { Joins } from "./joins.ts";
import { Pushes } from "./pushes.ts";
import { type Counts, count, emptyCounts, REFUSED_GAP } from "./tally.ts";

/** Verifies what is stored under `last`, its newest head, against all `heads`. Returns how many frames were read. */
export async function verifyFrames(
  context: Context,
  folder: string,
  last: StoredHead,
  heads: readonly StoredHead[],
  own: readonly string[] | undefined,
): Promise<number> {
  const { segments } = last.statement.predicate;
  const whole = isTerminal(last.statement.predicate);
  const { source, report, examine, width } = context;
  const pass = new FramePass(context, last, heads);
  const unsealed = own && context.open?.(own);
  const chunks = new Chunks({ source, folder, segments, report, whole, unsealed });
  const cuts = heads.map(({ statement }) => statement.predicate.head.size);
  const frames = framesSegments(segments);
  let n = 0;
  for await (const examined of ahead(width, frames, (entry) =>
    examine({ folder, entry, cuts, ...(own && { own }) }),
  )) {
    const entry = frames[n++];
    if (entry) await pass.take(`${folder}${entry.name}`, entry, examined, chunks);
  }
  await chunks.finish();
  pass.finish(`${folder}${frames.at(-1)?.name ?? ""}`);
  return pass.frames;
}

type Last = { readonly seq: number; readonly k: Frame["k"] | undefined };

class FramePass {
  readonly #context: Context;
  readonly #last: StoredHead;
  readonly #heads: ReadonlyMap<number, readonly StoredHead[]>;
  readonly #exchanges: Exchanges;
  readonly #pushes: Pushes;
  readonly #joins: Joins;
  readonly #tree = new Range();
  /** The tree can no longer be built: a segment is gone, and the head does not say enough of it. */
  #broken = false;
  /** Frames were not read: counts, and what is said of a whole session, cannot be checked. */
  #partial = false;
  readonly #counts: Counts = emptyCounts();
  #newest = 0;
  /** Of the newest decision. */
  #policy: string | undefined;
  #lastFrame: Last | undefined;
  frames = 0;

  constructor(context: Context, last: StoredHead, heads: readonly StoredHead[]) {
    this.#context = context;
    this.#last = last;
    this.#heads = Map.groupBy(heads, ({ statement }) => statement.predicate.head.size);
    this.#exchanges = new Exchanges(context.report);
    this.#pushes = new Pushes(context.report, context.packMax);
    this.#joins = new Joins(context.report);
    // A session that began before there was a join has none in its frames.
    if (isTerminal(last.statement.predicate) && !last.statement.predicate.completeness) this.#joins.skip();
  }

  async take(object: string, entry: SegmentEntry, { found, stretches }: Examined, chunks: Chunks) {
    this.#context.add(found);
    if (!stretches) {
      chunks.skip();
      this.#skip(declaredRange(entry));
      return;
    }
    for (const { start, hashes, steps } of stretches) {
      for (const step of steps) {
        const bytes = bytesOf(step, chunks);
        this.#see(object, step, bytes instanceof Promise ? await bytes : bytes);
      }
      if (start === this.#tree.end) this.#tree.append(Range.restore(start, steps.length, hashes));
      else this.#broken = true;
      this.#checkHeads();
    }
  }

  #see(object: string, step: Step, bytes: Uint8Array | undefined): void {
    const { frame, seq } = step;
    this.frames += 1;
    this.#lastFrame = { seq, k: frame?.k };
    count(this.#counts, frame);
    this.#checkTime(object, step);
    this.#checkPlace(object, step);
    this.#pushes.see(frame, bytes, seq, object);
    if (frame?.k === "decision") this.#policy = frame.set;
    if (frame) {
      this.#exchanges.see(frame, seq, object);
      this.#joins.see(frame, seq, object);
    } else this.#loseTrack();
    if (frame?.k === "gap" && frame.cause !== REFUSED_GAP)
      this.#context.report("session_gap", object, `frame ${seq}: ${frame.cause}: ${frame.missing}`);
  }

  finish(object: string): void {
    const { predicate, subject } = this.#last.statement;
    const { report } = this.#context;
    if (!isTerminal(predicate)) return;
    const end = this.#lastFrame?.k;
    const expected = predicate.status === "closed" ? "session.end" : "session.truncated";
    if (!this.#partial && end !== expected)
      report("frame_place", object, `the last frame is ${end ?? "not there"}, not ${expected}`);
    this.#exchanges.finish(predicate.status === "closed", object);
    if (!this.#partial) this.#joins.finish(predicate, this.#last.object);
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
    this.#joins.skip();
  }

  #checkTime(object: string, { at, seq }: Step): void {
    if (at !== undefined && at < this.#newest)
      this.#context.report(
        "frame_time",
        object,
        `frame ${seq} is ${this.#newest - at} ms before the one before it`,
      );
    this.#newest = at ?? this.#newest;
  }

  #checkPlace(object: string, { frame, seq }: Step): void {
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

/** Body bytes of a data frame, where they are needed and there, and are as their digest says. */
function bytesOf(
  { frame, salt, seq, at, bytes }: Step,
  chunks: Chunks,
): Promise<Uint8Array | undefined> | Uint8Array | undefined {
  // Of a line of which nothing can be used it is not known which bytes it names.
  if (at === undefined) chunks.skip();
  if (frame?.k !== "data" || !("bytes" in frame)) return bytes;
  return chunks.read(frame.bytes, frame.sha256, salt ?? "", seq);
}

function differences(said: Head["counts"], found: Counts): string[] {
  const names = ["frames", "exchanges", "c2s", "s2c", "denied", "gaps"] as const;
  return names.flatMap((name) =>
    said[name] === found[name] ? [] : `${said[name]} ${name} where there are ${found[name]}`,
  );
}
