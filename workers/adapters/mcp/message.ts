/** JSON-RPC 2.0 as MCP uses it: one message a request, decoded without trusting it. */
import type { McpAction, McpMessage } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { ordered } from "#workers/wire/json/ordered.ts";
import { isObject, type Json, type JsonObject, textOf } from "#workers/wire/json/strict.ts";

export type Message = {
  readonly kind: McpAction;
  readonly method: string;
  readonly id?: string | number;
  /** What a call, a prompt or a resource is named. */
  readonly name?: string;
  readonly params: JsonObject;
};

/** Letters of a method, an id or a name that a frame has room for, and a policy a use. */
const WORD_MAX = 1_024;

const KNOWN: ReadonlySet<string> = new Set([
  "initialize",
  "server/discover",
  "ping",
  "tools/list",
  "tools/call",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "prompts/list",
  "prompts/get",
  "completion/complete",
  "logging/setLevel",
]);

/** Throws `Refusal("malformed")` on what is no message of JSON-RPC 2.0, and on batches, which no revision here has. */
export function messageOf(json: Json): Message {
  if (Array.isArray(json)) throw malformed("batches are not part of this revision of MCP: send one message");
  if (!isObject(json) || json["jsonrpc"] !== "2.0") throw malformed('a message needs "jsonrpc": "2.0"');
  const { id, method } = json;
  if (id !== undefined && typeof id !== "string" && typeof id !== "number")
    throw malformed("the id of a message is a string or a number");
  if (typeof id === "string" && id.length > WORD_MAX) throw malformed("the id is too long");
  const known = id === undefined ? {} : { id };
  if (method === undefined) {
    if (id === undefined || (json["result"] === undefined && json["error"] === undefined))
      throw malformed("a message has a method, or an id with a result or an error");
    return { kind: "mcp.reply", method: "", ...known, params: {} };
  }
  if (typeof method !== "string" || method === "" || method.length > WORD_MAX)
    throw malformed("the method is a string of at most 1,024 letters");
  if (json["params"] !== undefined && !isObject(json["params"])) throw malformed("params is an object");
  const params = isObject(json["params"]) ? json["params"] : {};
  const kind = id === undefined ? "mcp.notification" : kindOf(method);
  const name = nameIn(kind, params);
  return { kind, method, ...known, ...(name !== undefined && { name }), params };
}

function kindOf(method: string): McpAction {
  if (KNOWN.has(method)) return `mcp.${method}` as McpAction;
  return method.startsWith("tasks/") ? "mcp.tasks" : "mcp.other";
}

/** A call that names nothing cannot be decided upon. */
function nameIn(kind: McpAction, params: JsonObject): string | undefined {
  const wanted = NAMED[kind];
  if (wanted === undefined) return undefined;
  const name = textOf(params[wanted]);
  if (name === undefined || name === "" || name.length > WORD_MAX)
    throw malformed(`params.${wanted} is a string of at most 1,024 letters`);
  return name;
}

const NAMED: Partial<Record<McpAction, "name" | "uri">> = {
  "mcp.tools/call": "name",
  "mcp.prompts/get": "name",
  "mcp.resources/read": "uri",
  "mcp.resources/subscribe": "uri",
  "mcp.resources/unsubscribe": "uri",
};

/**
 * Holds the fields that mirror a message (2026-07-28, Streamable HTTP) to the message itself, where they are there:
 * whoever decides by them must decide by the same. Throws `Refusal("malformed")`.
 */
export function checkMirrors(headers: Headers, { method, name }: Message): void {
  const [said, named] = [headers.get("mcp-method"), headers.get("mcp-name")];
  if (said !== null && said !== method) throw malformed("the header Mcp-Method is not the message's method");
  if (named !== null && decoded(named) !== (name ?? ""))
    throw malformed("the header Mcp-Name is not what the message names");
}

const BASE64 = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/;

function decoded(field: string): string | undefined {
  const text = BASE64.exec(field)?.[1];
  if (text === undefined) return field;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(atob(text), (c) => c.charCodeAt(0)),
    );
  } catch {
    // What cannot be decoded is not what the message names.
    return undefined;
  }
}

/** What an approval of it is bound to: the method and what it is given, in whatever order. Ids and `_meta` differ each time. */
export function boundContent(method: string, params: JsonObject): string {
  const { _meta: _, ...given } = params;
  return JSON.stringify([method, ordered(given)]);
}

/** A message as a frame says it. */
export function summaryOf(json: JsonObject): McpMessage {
  const { id, method, params, result, error } = json;
  const named = isObject(params) ? (textOf(params["name"]) ?? textOf(params["uri"])) : undefined;
  const code = isObject(error) && typeof error["code"] === "number" ? error["code"] : undefined;
  const failed = isObject(result) && result["isError"] === true;
  const said = params ?? result ?? error;
  return {
    ...(typeof id === "number" && { id }),
    ...(typeof id === "string" && { id: short(id) }),
    ...(typeof method === "string" && { method: short(method) }),
    ...(named !== undefined && { name: short(named) }),
    ...(code !== undefined && { error: code }),
    ...(failed && { failed }),
    size: said === undefined ? 0 : new TextEncoder().encode(JSON.stringify(said)).byteLength,
  };
}

const short = (word: string): string => word.slice(0, 128);
const malformed = (why: string): Refusal => new Refusal("malformed", why);
