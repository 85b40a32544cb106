/** Plain HTTP: what is asked, what policy must allow, and how a no is said. */
import type { Header } from "#durable/format/frame.ts";
import type { HttpRequest, Unknown } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { readingOf } from "#workers/mask/reading.ts";
import { peek } from "#workers/wire/body.ts";
import { requestHeaders } from "#workers/wire/headers.ts";
import { problem } from "#workers/wire/problem.ts";
import { isUpgrade, socketBody, socketHeaders } from "#workers/wire/socket/message.ts";
import type { Adapter, Incoming, Inspected } from "../adapter.ts";
import { questionsOf } from "./questions.ts";
import { targetOf } from "./target.ts";

/** Bodies of up to this are covered whole by their clearance; longer ones stream. */
const HELD = 256 * 1024;
/** Names of a query that stand in a frame. */
const NAMES_MAX = 100;
/** RFC 9110 §9.3.6, §9.3.8: one opens a tunnel, the other shows what was sent, credentials included. */
const CLOSED: ReadonlySet<string> = new Set(["CONNECT", "TRACE"]);

type HttpInspected = Inspected<HttpRequest>;

export const httpAdapter: Adapter<HttpRequest> = {
  kind: "http",

  async inspect(incoming: Incoming): Promise<HttpInspected> {
    const { request, connection } = incoming;
    const { method } = request;
    if (CLOSED.has(method)) throw new Refusal("denied", `${method} does not pass this gateway`);
    const { sent, path, query } = targetOf(incoming.path, incoming.query);
    const upgrade = isUpgrade(request.headers);
    const operation: HttpRequest = {
      kind: "http.request",
      method,
      path,
      query,
      ...(upgrade && { upgrade: "websocket" as const }),
    };
    const body = upgrade ? socketBody() : await peek(request, HELD, incoming.stallSeconds, () => true);
    const kept = requestHeaders(request.headers);
    const headers: readonly Header[] = upgrade ? socketHeaders(kept) : kept;
    const abridged =
      query.length > NAMES_MAX
        ? { ...operation, query: query.slice(0, NAMES_MAX), omitted: query.length - NAMES_MAX }
        : undefined;
    return {
      operation,
      ...(abridged && { abridged }),
      questions: questionsOf(operation, connection, request.headers),
      outgoing: { method, path: sent, headers },
      body,
      frames: [],
      reading: readingOf(request.headers.get("content-type")),
    };
  },

  forward: (inspected, send) => send(inspected),

  reading: (_, { headers }) => readingOf(headers.get("content-type")),

  refuse: refuseHttp,
};

/** A problem document (RFC 9457); for 401 with the challenge that RFC 6750 §3 asks for. */
export function refuseHttp(
  refusal: Refusal,
  _incoming: Incoming,
  _operation: HttpRequest | Unknown,
): Response {
  const response = problem(refusal);
  if (refusal.code === "unauthenticated") response.headers.set("www-authenticate", 'Bearer realm="steno"');
  return response;
}
