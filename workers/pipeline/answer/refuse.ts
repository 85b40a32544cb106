/** Every no ends here: it is recorded, then said in the protocol's words. Bugs become a fault with an id. */
import { createHash } from "node:crypto";
import type { SessionId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { RequestTape, ResponseTape } from "#durable/format/tape.ts";
import { withoutCredentials } from "#workers/wire/carriers.ts";
import { responseHeaders } from "#workers/wire/headers.ts";
import type { Means, Reached } from "../exchange.ts";
import { known } from "../record.ts";

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
      await swallow(incoming.request.body, STRANGER_MAX);
      await means.append.refuse(undecided(reached), tape);
      return undefined;
    }
    let session: SessionId;
    if ("session" in reached) session = reached.session;
    else {
      const begun = await means.append.begin(reached.opening, undecided(reached));
      if ("no" in begun) return undefined;
      session = begun.ok.session;
    }
    if ("inspected" in reached) await drain(reached.inspected.body, session, reached, means);
    else await swallow(incoming.request.body, Number.POSITIVE_INFINITY);
    await means.append.respond(session, reached.x, tape);
    return session;
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
async function swallow(body: ReadableStream<Uint8Array> | null, limit: number): Promise<void> {
  if (!body || body.locked) return;
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.byteLength;
      if (length > limit) return;
    }
  } catch {
    // The client hung up while it was being refused: there is nobody left to tell.
  }
}

/** Clients read the answer only when they have sent everything, so the rest is read; its length and digest are kept. */
async function drain(
  body: Parameters<typeof known>[0],
  session: SessionId,
  { x }: Reached,
  means: Means,
): Promise<void> {
  if (body.kind !== "stream" || body.rest.locked) return;
  const hash = createHash("sha256");
  let length = 0;
  try {
    for await (const chunk of body.rest) {
      hash.update(chunk);
      length += chunk.byteLength;
    }
  } catch {
    // The client hung up while it was being refused: what came until then is what is noted.
  }
  await means.append.discarded(session, x, body.prefix.byteLength, length, hash.digest("hex"));
}

/** The request as it came in, without its credentials. */
function undecided(reached: Reached): RequestTape {
  const { x, incoming } = reached;
  const inspected = "inspected" in reached ? reached.inspected : undefined;
  return {
    x,
    connection: "connection" in reached ? reached.connection.name : "",
    operation: inspected?.abridged ?? inspected?.operation ?? { kind: "unknown" },
    method: incoming.request.method,
    path: `${new URL(incoming.request.url).pathname}${withoutCredentials(incoming.query)}`,
    headers: inspected?.outgoing.headers ?? [],
    git: [],
    bodies: incoming.connection.bodies,
    body: inspected ? known(inspected.body) : { kind: "none" },
  };
}

function fault(thrown: unknown, { x }: Reached): Refusal {
  const cause = thrown instanceof Error ? (thrown.stack ?? String(thrown)) : String(thrown);
  console.error(JSON.stringify({ level: "alert", code: "fault", exchange: x, cause }));
  return new Refusal("fault", `something went wrong inside the gateway; ask its operator for ${x}`, {
    cause: thrown,
  });
}
