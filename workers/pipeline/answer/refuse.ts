/** Every no ends here: it is recorded, then said in the protocol's words. Bugs become a fault with an id. */
import { createHash } from "node:crypto";
import type { Header } from "#durable/format/frame.ts";
import type { SessionId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { RequestTape, ResponseTape } from "#durable/format/tape.ts";
import type { Incoming } from "#workers/adapters/adapter.ts";
import { maskerFor } from "#workers/mask/reading.ts";
import { concat } from "#workers/mask/stream/out.ts";
import { withoutCredentials } from "#workers/wire/carriers.ts";
import { responseHeaders } from "#workers/wire/headers.ts";
import { bodyStalled, inTime } from "#workers/wire/in-time.ts";
import { frameOf, known as maskedBody } from "../body/mask.ts";
import type { Means, Reached } from "../exchange.ts";
import { known } from "../record.ts";
import { fault } from "./fault.ts";

export async function refuse(thrown: unknown, reached: Reached, means: Means): Promise<Response> {
  const { x, adapter, incoming } = reached;
  const refusal = thrown instanceof Refusal ? thrown : fault(thrown, reached);
  const operation = "inspected" in reached ? reached.inspected.operation : ({ kind: "unknown" } as const);
  const response = adapter.refuse(refusal, incoming, operation);
  const bytes = new Uint8Array(await response.clone().arrayBuffer());
  const cause = refusal.cause === undefined ? {} : { cause: String(refusal.cause).slice(0, 2000) };
  const tape: ResponseTape = {
    status: response.status,
    headers: responseHeaders(response.headers),
    refusal: { code: refusal.code, message: refusal.message.slice(0, 4000), ...cause },
    bytes,
    end: "complete",
  };
  const session = refusal.code === "not_recorded" ? undefined : await recordRefusal(tape, reached, means);
  const headers = new Headers(response.headers);
  headers.set("steno-exchange", x);
  if (session) headers.set("steno-session", session);
  if (refusal.approval !== undefined) headers.set("steno-approval", refusal.approval);
  return new Response(response.body, { status: response.status, headers });
}

/** Recording a refusal may itself fail; the refusal stands all the same, since nothing was forwarded. */
async function recordRefusal(
  tape: ResponseTape,
  reached: Reached,
  means: Means,
): Promise<SessionId | undefined> {
  const { incoming } = reached;
  try {
    if (!("principal" in reached)) {
      await swallow(incoming, STRANGER_MAX);
      await means.append.refuse(undecided(reached, means), tape);
      return undefined;
    }
    let session: SessionId;
    const spooled =
      "inspected" in reached && reached.inspected.body.kind === "spooled" && reached.inspected.body;
    if ("session" in reached) session = reached.session;
    else if (spooled) session = spooled.session;
    else {
      const { session: named, ...own } = reached.opening;
      const tape = undecided(reached, means);
      let begun = await means.append.begin(reached.opening, tape);
      // A session that has ended, or is somebody else's, takes nothing: the attempt is in the caller's own.
      if ("no" in begun && named !== undefined) begun = await means.append.begin(own, tape);
      if ("no" in begun) return undefined;
      session = begun.ok.session;
    }
    if ("inspected" in reached) await drain(reached.inspected.body, session, reached, means);
    else await swallow(incoming, Number.POSITIVE_INFINITY);
    const answer = await means.append.respond(session, reached.x, tape);
    // Of a session that was killed meanwhile nothing more is recorded: then nobody is told that it is.
    return "no" in answer ? undefined : session;
  } catch (cause) {
    console.error(
      JSON.stringify({
        level: "alert",
        code: "refusal_not_recorded",
        exchange: reached.x,
        cause: String(cause),
      }),
    );
    return undefined;
  }
}

/** How much of a body is read from somebody who is not known. */
const STRANGER_MAX = 1024 * 1024;

/** The same for a body that nobody could decode: what was asked is not known, so nothing of it is kept. */
async function swallow({ request, stallSeconds }: Incoming, limit: number): Promise<void> {
  let length = 0;
  for await (const chunk of arriving(request.body, stallSeconds)) {
    length += chunk.byteLength;
    if (length > limit) return;
  }
}

/** What still comes of a body until its end; a client that hangs up or stalls while it is being refused has ended it. */
async function* arriving(body: ReadableStream<Uint8Array> | null, stallSeconds: number) {
  if (!body || body.locked) return;
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  try {
    for (;;) {
      const { value, done } = await inTime(reader.read(), stallSeconds, bodyStalled);
      if (done) return;
      yield value;
    }
  } catch {
    // There is nobody left to tell.
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** Clients read the answer only when they have sent everything, so the rest is read; its length and digest are kept. */
async function drain(
  body: Parameters<typeof known>[0],
  session: SessionId,
  { x, incoming }: Reached,
  means: Means,
): Promise<void> {
  if (body.kind === "none" || body.kind === "whole" || (body.kind === "stream" && body.rest.locked)) return;
  const held = body.kind === "stream" ? body.prefix.byteLength : body.length;
  const rest = body.kind === "stream" ? arriving(body.rest, incoming.stallSeconds) : body.rest();
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of rest) {
    hash.update(chunk);
    length += chunk.byteLength;
  }
  await means.append.discarded(session, x, held, length, hash.digest("hex"));
}

/** What a refused request may take of its line: a request is also refused for being too long for one. */
const PATH_MAX = 2_048;
const HEADERS_MAX = 4_096;

function first(headers: readonly Header[]): readonly Header[] {
  let room = HEADERS_MAX;
  return headers.filter(([name, value]) => {
    room -= name.length + value.length;
    return room >= 0;
  });
}

/** The request as it came in, without its credentials, and cut to fit into the record. */
function undecided(reached: Reached, means: Means): RequestTape {
  const { x, incoming } = reached;
  const inspected = "inspected" in reached ? reached.inspected : undefined;
  return {
    x,
    connection: "connection" in reached ? reached.connection.name : "",
    operation: inspected?.abridged ?? inspected?.operation ?? { kind: "unknown" },
    method: incoming.request.method,
    path: `${new URL(incoming.request.url).pathname}${withoutCredentials(incoming.query)}`.slice(0, PATH_MAX),
    headers: first(inspected?.outgoing.headers ?? []),
    bodies: incoming.connection.bodies,
    ...masked(reached, means),
  };
}

/** What is recorded of a body that was refused is masked as far as it can be known with what. */
function masked(reached: Reached, means: Means): Pick<RequestTape, "content" | "body"> {
  if (!("inspected" in reached)) return { content: [], body: { kind: "none" } };
  const { inspected, x, incoming } = reached;
  const { body } = inspected;
  const reading = ("reading" in inspected ? inspected.reading : undefined) ?? "none";
  // After the step that masks it is masked, and after the one that records it is recorded.
  const rules = "rules" in reached ? undefined : means.detectors.choose(incoming.connection.mask);
  if (!rules || reading === "none")
    return { content: "hidden" in reached ? reached.hidden : [], body: known(body) };
  const masker = maskerFor(reading, rules);
  const shown = known(maskedBody(body, masker));
  // Nothing of it leaves: what is held of the beginning is the end of what is recorded.
  const rest = masker.end();
  const content = masker.masks().map((mask) => frameOf(mask, x, "c2s"));
  return {
    content,
    body: shown.kind === "stream" ? { kind: "stream", prefix: concat([shown.prefix, rest]) } : shown,
  };
}
