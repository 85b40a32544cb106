/** Model APIs: what is asked of which model, what policy must allow, and how a no is said in the provider's words. */
import type { Contained, Header } from "#durable/format/frame.ts";
import type { LlmMessage, LlmOperation, Unknown } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { readingOf } from "#workers/mask/reading.ts";
import { type Body, peek } from "#workers/wire/body.ts";
import { withoutQueryCarriers } from "#workers/wire/carriers.ts";
import { gunzip, isGzip } from "#workers/wire/gzip.ts";
import { requestHeaders } from "#workers/wire/headers.ts";
import { isObject, parseJson } from "#workers/wire/json/strict.ts";
import type { Adapter, Incoming, Inspected } from "../adapter.ts";
import { type Api, type Asked, sizeOf } from "./api/api.ts";
import { openaiChat } from "./api/openai-chat.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import { hearingOf } from "./hearing.ts";
import { questionsOf } from "./questions.ts";

/** Longest request, as sent and inflated: providers take 32 MB, pictures included. */
const BODY_MAX = 32 * 1024 * 1024;
const MODEL_MAX = 256;
/** Names of tools that stand in a request frame, and letters of each. */
const TOOLS_MAX = 200;
const WORD_MAX = 64;
/** Bytes of a frame that messages may take; the newest are kept. */
const MESSAGES_MAX = 48 * 1024;

type LlmInspected = Inspected<LlmOperation>;

export const llmAdapter: Adapter<LlmOperation> = {
  kind: "llm",

  async inspect(incoming: Incoming): Promise<LlmInspected> {
    const { request, connection, path, query } = incoming;
    const endpoint = endpointOf(request.method, path, request.headers);
    const { api } = endpoint;
    const headers = outgoingHeaders(request.headers);
    const outgoing = { method: request.method, path: withoutQueryCarriers(`${path}${query}`), headers };
    if (endpoint.step === "models") {
      const { model } = endpoint;
      const operation: LlmOperation = {
        kind: "llm.models",
        provider: api.provider,
        ...(model !== undefined && { model }),
      };
      const questions = questionsOf(operation, connection, {
        provider: api.provider,
        api: api.name,
        size: 0,
      });
      return { operation, questions, outgoing, body: { kind: "none" }, frames: [], reading: "json" };
    }
    const { body, bytes } = await read(incoming);
    const asked = askedOf(endpoint, bytes);
    const operation = operationOf(endpoint, asked);
    const short = abridged(operation);
    const size = bytes.byteLength;
    return {
      operation,
      ...(short && { abridged: short }),
      questions: questionsOf(operation, connection, { provider: api.provider, api: api.name, size }),
      outgoing,
      body,
      frames: [messagesFrame(asked.messages)],
      reading: "json",
      ...(endpoint.step === "chat" && { hearing: (_, answered) => hearingOf(api, answered) }),
    };
  },

  forward: (inspected, send) => send(inspected),

  reading: (_, { headers }) => readingOf(headers.get("content-type")),

  refuse: refuseLlm,
};

const NOT_AGAIN: ReadonlySet<string> = new Set(["denied", "malformed", "approval_pending", "approval_over"]);

/** Errors as the provider says them. SDKs try some again by themselves; a no of policy is not worth that. */
export function refuseLlm(
  refusal: Refusal,
  { request, path }: Incoming,
  _: LlmOperation | Unknown,
): Response {
  const { code, status } = refusal;
  const headers = new Headers({ "content-type": "application/json", "cache-control": "no-store" });
  if (NOT_AGAIN.has(code)) headers.set("x-should-retry", "false");
  if (refusal.later !== undefined) headers.set("retry-after", String(refusal.later));
  if (code === "unauthenticated") headers.set("www-authenticate", 'Bearer realm="steno"');
  return new Response(JSON.stringify(apiOf(request, path).error(refusal)), { status, headers });
}

function apiOf(request: Request, path: string): Api {
  try {
    return endpointOf(request.method, path, request.headers).api;
  } catch (thrown) {
    if (thrown instanceof Refusal) return openaiChat;
    throw thrown;
  }
}

async function read({ request, stallSeconds }: Incoming): Promise<{ body: Body; bytes: Uint8Array }> {
  const body = await peek(request, BODY_MAX, stallSeconds, () => false);
  if (body.kind === "none") throw new Refusal("malformed", "the request has no body");
  if (body.kind === "stream")
    throw new Refusal("too_large", `the request is longer than ${BODY_MAX / 1024 / 1024} MB`);
  if (!isGzip(request.headers)) return { body, bytes: body.bytes };
  return { body, bytes: gunzip(body.bytes, true, BODY_MAX) };
}

function askedOf(endpoint: Endpoint & { readonly step: "chat" | "count" }, bytes: Uint8Array): Asked {
  const json = parseJson(bytes, "the request");
  if (!isObject(json)) throw new Refusal("malformed", "the request is no JSON object");
  const asked = endpoint.api.asked(json, endpoint.model, endpoint.stream ?? false);
  if (asked.model.length > MODEL_MAX) throw new Refusal("malformed", "the model's name is too long");
  return asked;
}

function operationOf(
  { step, api }: Endpoint & { readonly step: "chat" | "count" },
  asked: Asked,
): LlmOperation {
  const { model, stream, messages, tools, tokens } = asked;
  const known = {
    api: api.name,
    model,
    messages: messages.length,
    tools,
    ...(tokens !== undefined && { tokens }),
  };
  return step === "chat" ? { kind: "llm.chat", ...known, stream } : { kind: "llm.count", ...known };
}

function abridged(operation: LlmOperation): LlmOperation | undefined {
  if (operation.kind === "llm.models") return undefined;
  const tools = operation.tools.slice(0, TOOLS_MAX).map((name) => name.slice(0, WORD_MAX));
  if (tools.length === operation.tools.length && tools.every((name, i) => name === operation.tools[i]))
    return undefined;
  return { ...operation, tools, omitted: operation.tools.length - tools.length };
}

/** The newest messages that fit: what came before them stood in the requests before. */
function messagesFrame(messages: readonly LlmMessage[]): Contained {
  const kept: LlmMessage[] = [];
  let room = MESSAGES_MAX;
  for (const message of messages.toReversed().map(shortened)) {
    room -= sizeOf(JSON.stringify(message)) + 1;
    if (room < 0) break;
    kept.unshift(message);
  }
  const omitted = messages.length - kept.length;
  return { k: "llm", dir: "c2s", messages: kept, ...(omitted > 0 && { omitted }) };
}

const shortened = ({ role, parts }: LlmMessage): LlmMessage => ({
  role: role.slice(0, WORD_MAX),
  parts: parts.map(({ type, size, name, id }) => ({
    type: type.slice(0, WORD_MAX),
    size,
    ...(name !== undefined && { name: name.slice(0, WORD_MAX) }),
    ...(id !== undefined && { id: id.slice(0, WORD_MAX) }),
  })),
});

/** Answers come as they are, not compressed, so that what they say can be read on the way. */
function outgoingHeaders(headers: Headers): readonly Header[] {
  const kept = requestHeaders(headers).filter(([name]) => name !== "accept-encoding");
  return [...kept, ["accept-encoding", "identity"]];
}
