/** MCP over Streamable HTTP, both eras: what a message asks, what policy must allow, and how a no is said. */
import type { Contained, Header } from "#durable/format/frame.ts";
import type { McpOperation } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { readingOf } from "#workers/mask/reading.ts";
import { peek } from "#workers/wire/body.ts";
import { requestHeaders } from "#workers/wire/headers.ts";
import { heardFrom } from "#workers/wire/json/heard.ts";
import { inputDigest } from "#workers/wire/json/input-digest.ts";
import { isObject, type JsonObject, parseJson } from "#workers/wire/json/strict.ts";
import type { Adapter, Flawed, Hearing, Incoming, Inspected } from "../adapter.ts";
import { definedCall, ownCall, type Said } from "./catalogue/call.ts";
import { showAnswer } from "./catalogue/show.ts";
import { Elicitors } from "./elicitation.ts";
import { boundContent, type Message, messageOf, summaryOf } from "./message.ts";
import { checkMirrors, McpRefusal, revisionOf } from "./mirror.ts";
import { questionsOf } from "./questions.ts";
import { elicitors, refuseMcp } from "./refuse.ts";
import { waitCall, waitToolName } from "./wait-tool.ts";

const BODY_MAX = 16 * 1024 * 1024;
/** Messages of an answer that stand in a frame. */
const MESSAGES_MAX = 200;

type McpInspected = Inspected<McpOperation>;

export const mcpAdapter: Adapter<McpOperation> = {
  kind: "mcp",

  async inspect(incoming: Incoming): Promise<McpInspected | Flawed<McpOperation>> {
    const { request, connection, path, query } = incoming;
    if (path !== "/" || query !== "")
      throw new Refusal("unknown_path", "an MCP server is one address, without a path below it");
    requireOrigin(request.headers);
    const headers = outgoingHeaders(request.headers);
    const outgoing = { method: request.method, path: "/", headers };
    if (request.method === "GET" || request.method === "DELETE") {
      const kind = request.method === "GET" ? "mcp.stream" : "mcp.end";
      const operation: McpOperation = { kind, method: "", ...versionOf(request.headers) };
      const questions = questionsOf(operation, connection, {}, 0);
      const own = { reading: "json", hearing, ...within(request.headers) } as const;
      return { operation, questions, outgoing, body: { kind: "none" }, frames: [], ...own };
    }
    if (request.method !== "POST") throw new Refusal("unknown_path", "MCP is spoken by POST, GET and DELETE");
    const body = await peek(request, BODY_MAX, incoming.stallSeconds, () => false);
    if (body.kind === "none") throw new Refusal("malformed", "the request has no message");
    if (body.kind === "stream") throw new Refusal("too_large", "the message is longer than 16 MB");
    if (request.headers.has("content-encoding"))
      throw new Refusal("malformed", "messages are sent without a content encoding");
    const json = parseJson(body.bytes, "the message");
    const message = messageOf(json);
    const flaw = mismatch(request.headers, message);
    if (flaw) {
      const { params: _, ...operation } = message;
      return { operation, outgoing, body, reading: "json", flaw };
    }
    const said: Said = { message, json: json as JsonObject, bytes: body.bytes, headers };
    if (message.kind !== "mcp.tools/call") return inspectedOf(said, incoming);
    // By the name that the agent knows it by, as its hooks tell of it.
    const input = inputDigest(message.name ?? "", message.params["arguments"]);
    if (message.name === waitToolName(connection.prefix))
      return waitCall(inspectedOf(said, incoming), message.params["arguments"], incoming);
    const own = ownCall(said, connection.prefix);
    if (own instanceof Refusal) return { ...inspectedOf(said, incoming, input), flaw: own };
    return definedCall(inspectedOf(own, incoming, input), own, incoming);
  },

  patience: ({ operation: { kind } }) => (HELD.has(kind) ? HOLD_SECONDS : undefined),

  forward: (inspected, send) => send(inspected),

  show: ({ operation }, response, showing) => showAnswer(operation, response, showing),

  reading: (_, { headers }) => readingOf(headers.get("content-type")),

  refuse: refuseMcp,
};

/** Clients give a call up after 60 s, whatever they are told meanwhile; nothing else is worth a hold to them. */
const HOLD_SECONDS = 45;
const HELD: ReadonlySet<string> = new Set(["mcp.tools/call", "mcp.resources/read", "mcp.prompts/get"]);

function inspectedOf(
  { message, json, bytes, headers, as }: Said,
  { request, connection }: Incoming,
  input?: string,
): McpInspected {
  const { params, ...said } = message;
  const named = as === undefined ? said : { ...said, as };
  const operation: McpOperation = { ...named, ...versionOf(request.headers) };
  return {
    operation,
    questions: questionsOf(operation, connection, params, bytes.byteLength),
    outgoing: { method: "POST", path: "/", headers },
    body: { kind: "whole", bytes },
    frames: [
      {
        k: "mcp",
        dir: "c2s",
        read: "all",
        messages: [summaryOf(json)],
        ...(input !== undefined && { input }),
      },
    ],
    reading: "json",
    hearing: message.kind === "mcp.initialize" && Elicitors.declares(params) ? opening : hearing,
    content: boundContent(message.method, params),
    ...cancelling(request.headers, message, params),
    ...within(request.headers),
  };
}

/** Ids are the client's own for each MCP session. */
function cancelling(
  headers: Headers,
  { id, method }: Pick<Message, "id" | "method">,
  params: JsonObject,
): Pick<McpInspected, "cancellable" | "cancels"> {
  const named = (of: string | number) => JSON.stringify([headers.get("mcp-session-id"), of]);
  const taken = params["requestId"];
  if (method === "notifications/cancelled" && (typeof taken === "string" || typeof taken === "number"))
    return { cancels: named(taken) };
  return id === undefined ? {} : { cancellable: named(id) };
}

const LOOPBACK = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/;

/** Editors send no Origin. A browser's page says where it is from, and none from elsewhere has business here. */
function requireOrigin(headers: Headers): void {
  const origin = headers.get("origin");
  if (origin !== null && !LOOPBACK.test(origin))
    throw new Refusal("denied", "pages of other origins may not speak to MCP servers here");
}

/** A session of the server's is whoever's opened it. */
function within(headers: Headers): Pick<McpInspected, "serverSession"> {
  const id = headers.get("mcp-session-id");
  return id === null ? {} : { serverSession: id };
}

/** Why the fields and the message are not one; undefined when they are. */
function mismatch(headers: Headers, message: Message): McpRefusal | undefined {
  try {
    checkMirrors(headers, message);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof McpRefusal) return thrown;
    throw thrown;
  }
}

function versionOf(headers: Headers): { readonly version?: string } {
  const version = revisionOf(headers);
  return version === undefined ? {} : { version };
}

/** Answers come as they are, not compressed, so that what they say can be read on the way. */
function outgoingHeaders(headers: Headers): readonly Header[] {
  const kept = requestHeaders(headers).filter(([name]) => name !== "accept-encoding" && name !== "origin");
  return [...kept, ["accept-encoding", "identity"]];
}

/** Of a client that says what it can: the session is known by it from now on. */
function opening(status: number, headers: Headers): Hearing | undefined {
  elicitors.remember(headers.get("mcp-session-id"));
  return hearing(status, headers);
}

function hearing(_: number, headers: Headers): Hearing | undefined {
  const seen: JsonObject[] = [];
  let omitted = 0;
  const heard = heardFrom(headers, (json) => {
    if (seen.length < MESSAGES_MAX && isObject(json)) seen.push(json);
    else omitted += 1;
  });
  return (
    heard && {
      hear: (bytes) => heard.hear(bytes),
      contained: (whole): readonly Contained[] => [
        {
          k: "mcp",
          dir: "s2c",
          read: heard.end(whole) ? "all" : "part",
          messages: seen.map(summaryOf),
          ...(omitted > 0 && { omitted }),
        },
      ],
    }
  );
}
