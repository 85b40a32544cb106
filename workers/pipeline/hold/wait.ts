/** Keeps a client waiting on the connection it has: lines it shows, signs of life, and at the end the answer or a no. */
import type { ApprovalEvent, HoldNews } from "#durable/format/approval/approval.ts";
import type { Header } from "#durable/format/frame.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Waiting } from "#workers/adapters/adapter.ts";
import { bodyStalled, inTime, upstreamSilent } from "#workers/wire/in-time.ts";
import { pieces } from "#workers/wire/pieces.ts";
import { granted } from "#workers/wire/problem.ts";
import { fault } from "../answer/fault.ts";
import type { Means } from "../exchange.ts";
import { forward } from "../forward.ts";
import { watch } from "../over.ts";
import { type Held, later, nameOf, released, requireOpen, whoOf } from "./held.ts";

/** Proxies and clients give a silent connection up after ten seconds at the earliest. */
const SIGN_MS = 4_000;
const NEWS_MS = 25_000;

export async function wait(held: Held, waiting: Waiting, means: Means): Promise<Response> {
  const { session, x } = held;
  const { headers } = waiting;
  const said = waiting.line(opening(held, means));
  const first = waiting.head ? joined(waiting.head, said) : said;
  granted(await means.append.respond(session, x, { status: 200, headers, bytes: first }));
  const { readable, writable } = new IdentityTransformStream();
  means.meanwhile(keep(uncoded(held), waiting, new Told(held, writable, means, first), means));
  const own: readonly Header[] = [...headers, ["steno-session", session], ["steno-exchange", x]];
  return new Response(readable, { status: 200, headers: new Headers(own as [string, string][]) });
}

/** What follows what was said while it waited must come as it is. */
function uncoded(held: Held): Held {
  const { inspected } = held;
  const { outgoing } = inspected;
  const kept = outgoing.headers.filter(([name]) => name !== "accept-encoding");
  const headers: readonly Header[] = [...kept, ["accept-encoding", "identity"]];
  return { ...held, inspected: { ...inspected, outgoing: { ...outgoing, headers } } };
}

/** The answer as far as it goes: what is written was recorded before. */
class Told {
  /** Rejects when nobody reads any more. */
  readonly gone: Promise<never>;
  readonly #held: Held;
  readonly #means: Means;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #off: number;

  constructor(held: Held, writable: WritableStream<Uint8Array>, means: Means, first: Uint8Array) {
    this.#held = held;
    this.#means = means;
    this.#writer = writable.getWriter();
    this.#off = first.byteLength;
    const { signal } = held.incoming.request;
    const hungUp = () => new Gone("the client hung up");
    this.gone = new Promise((_, reject) => {
      if (signal.aborted) reject(hungUp());
      signal.addEventListener("abort", () => reject(hungUp()));
      this.#writer.closed.catch(() => reject(hungUp()));
      this.#write(first).catch(reject);
    });
    // It is raced where somebody waits; between, its rejection must not count as nobody's.
    this.gone.catch(() => undefined);
  }

  async say(bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength === 0) return;
    const { session, x } = this.#held;
    granted(await this.#means.append.release(session, x, this.#off, bytes));
    this.#off += bytes.byteLength;
    await this.#write(bytes);
  }

  async end(): Promise<void> {
    const { session, x } = this.#held;
    granted(await this.#means.append.finish(session, x, this.#off, "complete"));
    await this.#writer.close();
  }

  async cut(cause: unknown): Promise<void> {
    const { session, x } = this.#held;
    await Promise.allSettled([
      this.#writer.abort(cause),
      this.#means.append.finish(session, x, this.#off, "cut"),
    ]);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await inTime(this.#writer.write(bytes), this.#means.settings.stallSeconds, bodyStalled);
    } catch (cause) {
      throw new Gone("the client reads no more", { cause });
    }
  }
}

class Gone extends Error {}

async function keep(held: Held, waiting: Waiting, told: Told, means: Means): Promise<void> {
  const { session, x, news, adapter, incoming, inspected } = held;
  const over = watch({ session }, means);
  let sent = false;
  try {
    await Promise.race([approved(held, waiting, told, means), told.gone, over.ended]);
    await Promise.race([told.say(waiting.line("approved: sent on")), told.gone]);
    const cleared = await released(held, means);
    sent = true;
    const { response } = await forward(cleared, means);
    await pass(response, waiting, told, means);
    await means.hold.outcome(session, x, news.approval, "the upstream answered");
    await told.end();
  } catch (thrown) {
    const gone = thrown instanceof Gone;
    const refusal = thrown instanceof Refusal ? thrown : fault(thrown, held);
    const why = gone ? thrown.message : refusal.message;
    // Whether or not it can be recorded, nothing more of it leaves: there is no clearance.
    const noted = sent
      ? means.hold.outcome(session, x, news.approval, why)
      : means.hold.leave(session, x, news.approval, voids(thrown) ? why : undefined);
    await noted.catch(() => undefined);
    if (gone) return told.cut(thrown);
    try {
      const said = () => adapter.refuse(refusal, incoming, inspected.operation).arrayBuffer();
      await told.say(waiting.no?.(refusal) ?? new Uint8Array(await said()));
      await told.end();
    } catch (cause) {
      await told.cut(cause);
    }
  } finally {
    over.stop();
  }
}

/** A hold outlives a client that is told to come again, and nobody else. */
const voids = (thrown: unknown): boolean =>
  !(thrown instanceof Refusal && thrown.code === "approval_pending");

/** Returns when it is approved. Throws when it is decided otherwise, or when the client has waited long enough. */
async function approved(held: Held, waiting: Waiting, told: Told, means: Means): Promise<void> {
  const { approval } = held.news;
  const until = means.now() + means.settings.holdSeconds * 1000;
  let { events, state }: Pick<HoldNews, "events" | "state"> = held.news;
  let asked: Promise<HoldNews> | undefined;
  while (state === "pending") {
    const left = until - means.now();
    if (left <= 0) throw later(held, means);
    asked ??= means.hold.wait(approval, events.length, Math.min(NEWS_MS, left)).then(granted);
    const news = await Promise.race([asked, after(Math.min(SIGN_MS, left))]);
    if (!news) await told.say(waiting.sign);
    else {
      asked = undefined;
      for (const event of news.events.slice(events.length)) {
        const line = lineOf(event);
        if (line !== undefined) await told.say(waiting.line(line));
      }
      ({ events, state } = news);
      requireOpen(news);
    }
  }
}

function after(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}

/** The upstream's answer, recorded before it is passed on. */
async function pass(response: Response, waiting: Waiting, told: Told, means: Means): Promise<void> {
  if (!waiting.continues(response)) throw doesNotFollow();
  if (!response.body) return;
  const reader = response.body.getReader({ mode: "byob" });
  const within = <T>(read: Promise<T>) => inTime(read, means.settings.stallSeconds, upstreamSilent);
  const next = pieces(reader, within);
  let head: Uint8Array = waiting.head ?? new Uint8Array(0);
  for (let piece = await next(); piece; piece = await next()) {
    const known = Math.min(head.byteLength, piece.byteLength);
    if (piece.subarray(0, known).some((byte, at) => byte !== head[at])) throw doesNotFollow();
    head = head.subarray(known);
    await told.say(piece.slice(known));
  }
  if (head.byteLength > 0) throw doesNotFollow();
}

const doesNotFollow = (): Refusal =>
  new Refusal("upstream_protocol", "the upstream's answer cannot follow what was said while it waited");

function joined(head: Uint8Array, rest: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.byteLength + rest.byteLength);
  whole.set(head);
  whole.set(rest, head.byteLength);
  return whole;
}

function opening({ decision, news }: Held, { settings }: Means): string {
  const { approval } = news;
  const where =
    settings.approvalsUrl === undefined
      ? `steno approvals show ${approval}`
      : `${settings.approvalsUrl}${approval}`;
  return `${decision.reason}\nwaiting for approval by ${whoOf(decision)}: ${approval}\n${where}`;
}

function lineOf({ step, by, text }: ApprovalEvent): string | undefined {
  const said = text === undefined ? "" : `: ${text}`;
  switch (step) {
    case "view":
      return `${nameOf(by)} is looking at it`;
    case "comment":
      return `${nameOf(by)}${said}`;
    case "approve":
      return `approved by ${nameOf(by)}${said}`;
    case "break-glass":
      return `let through by ${nameOf(by)}, who broke the glass${said}`;
    case "standing":
      return "approved in advance";
    case "deny":
    case "revoke":
    case "expire":
    case "void":
    case "release":
    case "outcome":
      return undefined;
  }
}
