/** What the pipeline asks of one kind of connection. */

import type { HoldNews } from "#durable/format/approval/approval.ts";
import type { Acceptance, Definition, Known, PinState } from "#durable/format/catalogue/definition.ts";
import type { Connection, ConnectionKind } from "#durable/format/connection.ts";
import type { Contained, Header } from "#durable/format/frame.ts";
import type { ApprovalId } from "#durable/format/ids.ts";
import type { Operation, Unknown } from "#durable/format/operation.ts";
import type { Refusal } from "#durable/format/refusal.ts";
import type { Question, Verdict } from "#workers/contract/evaluator.ts";
import type { Analysis } from "#workers/mask/analysis/analysis.ts";
import type { Detectors } from "#workers/mask/detectors.ts";
import type { Reading } from "#workers/mask/reading.ts";
import type { Body } from "#workers/wire/body.ts";

/** A request as it came in, with the connection its URL names. */
export type Incoming = {
  readonly request: Request;
  readonly connection: Connection;
  /** What follows `/<kind>/<connection>` in the URL, with a leading slash, percent-encoding untouched. */
  readonly path: string;
  /** The query with its `?`, or "". */
  readonly query: string;
  /** Seconds without a byte after which its body counts as stalled. */
  readonly stallSeconds: number;
  /** What is looked for in what an adapter unpacks; plain bodies are looked into by the pipeline. */
  readonly detectors: Detectors;
  /** Who is asked about it too, where there is somebody. */
  readonly analysis?: Analysis | undefined;
};

/** What goes upstream once it is cleared. */
export type Outgoing = {
  readonly method: string;
  /** Below the connection's base URL, with leading slash and query. */
  readonly path: string;
  /** Without credentials and hop-by-hop headers. */
  readonly headers: readonly Header[];
};

export type Inspected<Op extends Operation = Operation, F extends Contained = Contained> = {
  readonly operation: Op;
  /** The operation as its request frame holds it, when all of it would not fit into one line. */
  readonly abridged?: Op;
  readonly questions: readonly Question[];
  readonly outgoing: Outgoing;
  /** Every byte of the request's body, read or not. */
  readonly body: Body;
  /** Frames that say what the body contains; the pipeline adds the exchange. Each fits into one line. */
  readonly frames: readonly F[];
  /**
   * Set when the decision needs all of a body that is streamed: reads it as it is spooled, and says what it is. Throws
   * what is wrong with it. Until then `operation` and `frames` are what its beginning says.
   */
  readonly unread?: (spooled: Spooled) => Promise<Inspected<Op, F>>;
  /** How the body is looked into and masked; absent when it never is, as a pack, whose bytes are hashed. */
  readonly reading?: Reading;
  /** Reads the answer as it is released; absent when nobody asks what answers contain. */
  readonly hearing?: (status: number, headers: Headers) => Hearing | undefined;
  /** What a refusal of a part says beside the policy's reason: where the detectors found something. Never what. */
  readonly named?: (part: string) => string | undefined;
  /** Set when the request alone does not tell all that a decision needs. */
  readonly unsettled?: Unsettled<Op, F>;
  /** Set when the decision depends on how the tool it is about was defined. */
  readonly defined?: Defined<Op, F>;
  /** The definition that whoever approves it accepts with it. */
  readonly accepts?: Acceptance;
  /** What an approval of it is bound to, where the body has members that differ each time the same is asked. */
  readonly content?: string;
  /** What its client calls it, where it may take it back by that name while it waits. */
  readonly cancellable?: string;
  /** Which of the client's requests this one takes back. */
  readonly cancels?: string;
  /** The conversation it belongs to, where the body says so; a header that says another is refused. */
  readonly conversation?: string;
  /** A session of the upstream's that it names: only whoever opened it may. */
  readonly serverSession?: string;
  /** Set when it asks the gateway what became of a hold: nothing of it goes upstream. `answer` is told the news, where there is such a hold. */
  readonly waits?: {
    readonly approval: ApprovalId;
    readonly seconds: number;
    readonly answer: (news: HoldNews | undefined) => Response;
  };
  /** Set when the session ends once this has been answered. */
  readonly follows?: "end";
};

/** Reads an answer and says what it was. It changes nothing, and never throws: what it cannot read it leaves. */
export interface Hearing {
  /** Every byte once, in order, in whatever pieces. */
  hear(bytes: Uint8Array): void;
  /** What was heard; `whole` when the answer came to its end. Each frame fits into one line. */
  contained(whole: boolean): readonly Contained[];
}

/** A request that is not what it should be: what was read of it is recorded, then `flaw` is the refusal. */
export type Flawed<Op extends Operation = Operation> = Pick<
  Inspected<Op>,
  "abridged" | "outgoing" | "body" | "reading"
> & {
  readonly operation: Op | Unknown;
  readonly flaw: unknown;
};

/** A body on its way into the record, durable before it is shown. */
export type Spooled = {
  /** The next piece, from the first byte on, good until the next call; undefined at the end. */
  readonly next: () => Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Bytes that `next` has given, again, for as long as the exchange is under way. */
  readonly again: (off: number, length: number) => Promise<Uint8Array<ArrayBuffer>>;
};

/** What to ask upstream, and what follows from the answer; undefined when there is none, which proves nothing. */
export type Unsettled<Op extends Operation = Operation, F extends Contained = Contained> = {
  readonly look: Inspected<Op, F>;
  readonly settle: (answer: Uint8Array<ArrayBuffer> | undefined) => Promise<Inspected<Op, F>>;
};

/** `settle` is told what is known of the tool; undefined when nobody was ever shown it. */
export type Defined<Op extends Operation = Operation, F extends Contained = Contained> = {
  readonly tool: string;
  readonly settle: (known: Known | undefined) => Inspected<Op, F>;
};

/** What an adapter that goes through an answer can ask and do. Each throws a refusal when it cannot be done. */
export type Showing = {
  readonly connection: Connection;
  /** What policy says by now of each question by itself, in their order. */
  readonly verdicts: (questions: readonly Question[]) => Promise<readonly Verdict[]>;
  /** As `Pins` has it, for whoever asked. */
  readonly known: (tools: readonly string[]) => Promise<readonly (Known | null)[]>;
  readonly learn: (shown: readonly Definition[]) => Promise<readonly PinState[]>;
  /** The upstream has opened a session for whoever asked; durable before this returns. */
  readonly opened: (serverSession: string) => Promise<void>;
  /** The text without what is hidden in this exchange. */
  readonly hide: (text: string, reading: "json" | "text") => string;
  /** Frames of what the upstream sent, durable before this returns. Each fits into one line. */
  readonly record: (frames: readonly Contained[]) => Promise<void>;
  /** Bounds how long a read of the answer may take. */
  readonly within: <T>(read: Promise<T>) => Promise<T>;
};

/** An answer with status 200 that goes on for as long as nobody has decided, and then with the upstream's. */
export type Waiting = {
  readonly headers: readonly Header[];
  /** Something that is shown to whoever waits, at once. */
  readonly line: (text: string) => Uint8Array<ArrayBuffer>;
  /** Means nothing, but that somebody is there. */
  readonly sign: Uint8Array<ArrayBuffer>;
  /** Whether the upstream's body may follow. */
  readonly continues: (response: Response) => boolean;
  /** What the upstream's body begins with, always, and is said to the client before the first line. */
  readonly head?: Uint8Array<ArrayBuffer>;
  /** A no after the head and lines; absent: as `refuse` says it. */
  readonly no?: (refusal: Refusal) => Uint8Array;
};

export type Again<Op extends Operation = Operation, F extends Contained = Contained> = {
  readonly look: Inspected<Op, F>;
  /** Says what has changed; undefined when nothing has, or nobody can say. */
  readonly changed: (answer: Uint8Array<ArrayBuffer> | undefined) => string | undefined;
};

export interface Adapter<Op extends Operation = Operation, F extends Contained = Contained> {
  readonly kind: ConnectionKind;

  /**
   * Decodes a request into an operation without trusting it and without the network.
   * Reads no more of the body than it needs; the returned body yields every byte.
   * Throws `Refusal("malformed")` when it cannot tell what is asked: never guesses. What it has read of a body that is
   * evidence of what was sent comes back with the flaw instead.
   */
  inspect(incoming: Incoming): Promise<Inspected<Op, F> | Flawed<Op>>;

  /**
   * Sends it upstream through `send` and returns what the agent may see.
   * May rewrite the response; may answer without `send` when nothing needs to go upstream.
   */
  forward(
    inspected: Inspected<Op, F>,
    send: (inspected: Inspected<Op, F>) => Promise<Response>,
  ): Promise<Response>;

  /**
   * How a client that is held is kept waiting on the connection it has; undefined when it cannot be, or must not: then it is
   * refused with `approval_pending`, and the same request passes once it is approved.
   */
  waiting?(inspected: Inspected<Op, F>): Waiting | undefined;

  /**
   * How many seconds a client that is held waits for its answer in silence; undefined when that cannot be told. Not
   * longer than it is sure to wait: what it gives up is no answer to anything.
   */
  patience?(inspected: Inspected<Op, F>): number | undefined;

  /** What may have changed while it was held, and is looked at once more before it is released. */
  again?(inspected: Inspected<Op, F>, connection: Connection): Again<Op, F> | undefined;

  /**
   * The upstream's answer as the agent may see it, before it is masked, recorded and released. Absent when all of an
   * answer is shown. Throws `Refusal("upstream_protocol")` for what cannot be read where it must be.
   */
  show?(inspected: Inspected<Op, F>, response: Response, showing: Showing): Promise<Response>;

  /** How an answer is looked into and masked; absent when it never is. */
  reading?(inspected: Inspected<Op, F>, response: Response): Reading;

  /**
   * The same no, in the protocol's words. Never shows internals. `operation` is `unknown` when decoding failed;
   * `incoming` then still tells which endpoint was asked.
   */
  refuse(refusal: Refusal, incoming: Incoming, operation: Op | Unknown): Response;
}
