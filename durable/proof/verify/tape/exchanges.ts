/** The order of what is recorded of each exchange: request, decision, response; bodies without a gap, to their end. */
import type { ApprovalEvent } from "#durable/format/approval/approval.ts";
import { isEnough } from "#durable/format/approval/enough.ts";
import type { Approvers, Decision } from "#durable/format/decision.ts";
import type { Direction, Frame } from "#durable/format/frame.ts";
import type { Report } from "../../finding.ts";
import { dataLength, REFUSED_GAP } from "./tally.ts";

type BodyState = { at: number; begun: boolean; ended: boolean };
type Exchange = {
  verdict: Decision["verdict"] | undefined;
  responded: boolean;
  hold: Waiting | undefined;
  /** Named in a gap: what is missing of it was said there. */
  excused: boolean;
  /** Request bytes were read after a refusal and thrown away, which a gap says too. */
  thrownAway: boolean;
  readonly c2s: BodyState;
  readonly s2c: BodyState;
};

/** A held exchange, and what was said of its approval so far. */
type Waiting = {
  readonly approval: string;
  readonly places: readonly Approvers[];
  readonly events: ApprovalEvent[];
  released: boolean;
};

const body = (): BodyState => ({ at: 0, begun: false, ended: false });
const begun = (excused: boolean): Exchange => ({
  verdict: undefined,
  responded: false,
  hold: undefined,
  excused,
  thrownAway: false,
  c2s: body(),
  s2c: body(),
});

export class Exchanges {
  readonly #report: Report;
  readonly #live = new Map<string, Exchange>();
  /** Frames were skipped: what comes before what can no longer be told. */
  #lost = false;

  constructor(report: Report) {
    this.#report = report;
  }

  skip(): void {
    this.#lost = true;
  }

  see(frame: Frame, seq: number, object: string): void {
    if (this.#lost) return;
    const say = (code: Parameters<Report>[0], message: string) =>
      this.#report(code, object, `frame ${seq}: ${message}`);
    switch (frame.k) {
      case "request":
        if (this.#live.has(frame.x)) say("exchange_order", `a second request of ${frame.x}`);
        this.#live.set(frame.x, begun(false));
        break;
      case "decision":
      case "response":
      case "data":
      case "git":
      case "llm":
      case "mcp":
      case "catalogue":
      case "definition":
      case "mask":
      case "hold":
      case "approval":
      case "hook":
      case "join": {
        const exchange = this.#live.get(frame.x);
        if (exchange) seeIn(exchange, frame, exchange.excused ? () => undefined : say);
        else say("exchange_order", `a ${frame.k} frame before the request of ${frame.x}`);
        break;
      }
      case "gap":
        for (const x of frame.exchanges) this.#excuse(x, frame.cause === REFUSED_GAP);
        break;
      case "session.start":
      case "session.end":
      case "session.truncated":
        break;
    }
  }

  #excuse(x: string, refused: boolean): void {
    const exchange = this.#live.get(x);
    if (!exchange) this.#live.set(x, begun(!refused));
    else if (refused) exchange.thrownAway = true;
    else exchange.excused = true;
  }

  /** In a closed session every body that has begun has an end. `object` is the last frames segment. */
  finish(closed: boolean, object: string): void {
    if (this.#lost || !closed) return;
    for (const [x, exchange] of this.#live)
      for (const dir of ["c2s", "s2c"] as const)
        if (exchange[dir].begun && !exchange[dir].ended && !exchange.excused)
          this.#report("body_end", object, `the ${words(dir)} body of ${x} has no end`);
  }
}

const words = (dir: Direction): string => (dir === "c2s" ? "request" : "response");

type Within = Extract<
  Frame,
  {
    readonly k:
      | "decision"
      | "response"
      | "data"
      | "git"
      | "llm"
      | "mcp"
      | "catalogue"
      | "definition"
      | "mask"
      | "hold"
      | "approval"
      | "hook"
      | "join";
  }
>;
type Say = (code: Parameters<Report>[0], message: string) => void;

function seeIn(exchange: Exchange, frame: Within, say: Say): void {
  switch (frame.k) {
    case "decision":
      if (exchange.responded) say("exchange_order", `the decision on ${frame.x} comes after its response`);
      exchange.verdict = frame.verdict;
      break;
    case "response":
      if (exchange.responded) say("exchange_order", `a second response of ${frame.x}`);
      // Who waits is told so before it is decided; that nothing left until then is what the end of its body says.
      if (!frame.refusal && exchange.verdict !== "allow" && !(exchange.verdict === "hold" && exchange.hold))
        say(
          "decision_missing",
          exchange.verdict
            ? `${frame.x} was forwarded although it was ${exchange.verdict === "hold" ? "held" : "denied"}`
            : `${frame.x} was forwarded, and no decision allowed it`,
        );
      exchange.responded = true;
      break;
    case "data":
      seeData(exchange, frame, say);
      break;
    case "hold":
      if (exchange.verdict !== "hold" || exchange.hold)
        say("exchange_order", `${frame.x} waits for ${frame.approval}, and no decision held it`);
      exchange.hold = { approval: frame.approval, places: frame.hold, events: [], released: false };
      break;
    case "approval":
      seeApproval(exchange.hold, frame, say);
      break;
    case "git":
    case "llm":
    case "mcp":
    case "catalogue":
    case "definition":
    case "mask":
    case "hook":
    case "join":
      break;
  }
}

function seeApproval(hold: Waiting | undefined, frame: Frame & { readonly k: "approval" }, say: Say): void {
  const { x, approval, n, step } = frame;
  if (hold?.approval !== approval || n !== hold.events.length + 1) {
    say("exchange_order", `event ${n} of ${approval} is not the next of what ${x} waits for`);
    return;
  }
  if (step === "standing" && !(frame.standing && frame.at < frame.standing.until))
    say("decision_missing", `${x} came by what was approved in advance, and the time of that was over`);
  if (step === "release") {
    const denied = hold.events.some((event) => event.step === "deny");
    if (denied || !isEnough(hold.places, hold.events))
      say("decision_missing", `${x} was released, and too few had approved it`);
    hold.released = true;
  }
  hold.events.push(frame);
}

function seeData(exchange: Exchange, frame: Frame & { readonly k: "data" }, say: Say): void {
  const state = exchange[frame.dir];
  const what = `the ${words(frame.dir)} body of ${frame.x}`;
  const isEnd = "end" in frame;
  if (frame.dir === "s2c" && !exchange.responded && !(isEnd && frame.end === "cut"))
    say("exchange_order", `${what} comes before its response`);
  if (isEnd && frame.dir === "c2s" && frame.end === "complete" && exchange.hold && !exchange.hold.released)
    say("decision_missing", `${frame.x} was held, and left although nobody released it`);
  if (state.ended) say(isEnd ? "exchange_order" : "body_overlap", `${what} goes on after its end`);
  else if (frame.off < state.at) say("body_overlap", `${what} has byte ${frame.off} twice`);
  else if (frame.off > state.at && !(exchange.thrownAway && frame.dir === "c2s"))
    say("body_gap", `${what} has no bytes ${state.at} to ${frame.off}`);
  state.begun = true;
  state.ended ||= isEnd;
  state.at = Math.max(state.at, frame.off + dataLength(frame));
}
