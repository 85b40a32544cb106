/** The join of a session, made again from its frames: the frames that say it, and the verdict of its last head. */
import type { EndReason, Frame, JoinFrame } from "#durable/format/frame.ts";
import type { Head } from "#durable/format/head.ts";
import { type Completeness, completenessOf, type Reason } from "#durable/format/join/completeness.ts";
import { beginJoin, endJoin, type Join, joinFrame } from "#durable/format/join/join.ts";
import type { FindingCode, Report } from "../../finding.ts";

export class Joins {
  readonly #report: Report;
  #join: Join | undefined;
  #expected: JoinFrame[] = [];
  #ended = false;
  #lost = false;

  constructor(report: Report) {
    this.#report = report;
  }

  /** Frames were skipped: what they would have changed is not known. */
  skip(): void {
    this.#lost = true;
  }

  see(frame: Frame, seq: number, object: string): void {
    if (frame.k === "session.start" && seq === 0) this.#join = beginJoin(frame);
    const join = this.#join;
    if (!join || this.#lost) return;
    if (frame.k === "join" || frame.k === "session.end" || frame.k === "session.truncated")
      this.#next(join, frame, seq, object);
    else this.#expected.push(...joinFrame(join, frame));
  }

  #next(join: Join, frame: Frame, seq: number, object: string): void {
    if (this.#expected.length === 0 && !this.#ended) {
      this.#ended = true;
      this.#expected.push(...endJoin(join));
    }
    const wanted = this.#expected.shift();
    if (frame.k !== "join" ? wanted === undefined : wanted && same(frame, wanted)) return;
    const words = wanted ? `${wanted.of} of ${wanted.x} is ${wanted.found}` : "there is nothing to join here";
    this.#report("join_differs", object, `frame ${seq}: ${words}, by the frames before it`);
  }

  /** `head` is the last one's, `object` where it is stored. */
  finish(head: Head, object: string): void {
    const { completeness: said, counts, reason } = head;
    if (!this.#join || this.#lost || !said) return;
    const found = completenessOf(this.#join, counts.gaps, reason as EndReason | "truncated");
    if (JSON.stringify(found) !== JSON.stringify(said))
      this.#report("head_completeness", object, `says ${words(said)}; the frames say ${words(found)}`);
  }
}

const same = (a: JoinFrame, b: JoinFrame): boolean =>
  a.x === b.x && a.of === b.of && a.found === b.found && a.claim === b.claim;

const words = ({ verdict, reasons }: Completeness): string =>
  [verdict, ...reasons.map(({ reason, count }) => `${count} ${reason}`)].join(", ");

/** Of the last head, whether its frames can be read or not. Gaps, and a session that was cut off, are told by their frames. */
export function reportReasons({ completeness }: Head, object: string, report: Report): void {
  for (const { reason, count } of completeness?.reasons ?? []) {
    const [code, text] = FOUND[reason];
    if (code) report(code, object, `${count} ${text}`);
  }
}

const FOUND: Readonly<Record<Reason, readonly [code: FindingCode | undefined, words: string]>> = {
  claimed_not_seen: ["session_unseen", "calls or pushes that hooks claimed never passed the gateway"],
  seen_not_claimed: ["session_unclaimed", "calls or pushes passed the gateway, and no hook claimed them"],
  hooks_missing: ["session_unhooked", "calls or pushes of a conversation in which no hook spoke"],
  not_ended: ["session_unended", "agent whose hooks never told that it had ended"],
  recorder_gap: [undefined, ""],
  truncated: [undefined, ""],
};
