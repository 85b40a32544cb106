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
  refuseLookalikes(json, MEMBERS, "the message");
  const { id, method } = json;
  const known = id === undefined ? {} : { id: idOf(id) };
  if (method === undefined) {
    if (id === undefined || (json["result"] === undefined) === (json["error"] === undefined))
      throw malformed("a message has a method, or an id with a result or an error");
    return { kind: "mcp.reply", method: "", ...known, params: {} };
  }
  if (typeof method !== "string" || method === "" || method.length > WORD_MAX)
    throw malformed("the method is a string of at most 1,024 letters");
  if (json["result"] !== undefined || json["error"] !== undefined)
    throw malformed("the message asks and answers at once");
  if (json["params"] !== undefined && !isObject(json["params"])) throw malformed("params is an object");
  const params = isObject(json["params"]) ? json["params"] : {};
  refuseLookalikes(params, PARAMS, "params");
  const kind = id === undefined ? "mcp.notification" : kindOf(method, params);
  const name = nameIn(kind, params);
  return { kind, method, ...known, ...(name !== undefined && { name }), params };
}

/** MCP has no null, and beyond 2^53 an id is another number to another reader. */
function idOf(id: Json): string | number {
  if (typeof id === "number" && Number.isSafeInteger(id)) return id;
  if (typeof id !== "string") throw malformed("the id of a message is a string or a whole number below 2^53");
  if (id.length > WORD_MAX) throw malformed("the id is too long");
  return id;
}

const MEMBERS = ["jsonrpc", "id", "method", "params", "result", "error"];
/** What is decided by. */
const PARAMS = ["name", "uri", "arguments", "_meta"];

/** Some decoders, Go's among them, take a member for another that differs in case. */
function refuseLookalikes(object: JsonObject, known: readonly string[], where: string): void {
  for (const name of Object.keys(object)) {
    // Upper first: the long s becomes an S only then; the Kelvin sign becomes a k only by lower case.
    const folded = name.toUpperCase().toLowerCase();
    if (name !== folded && known.includes(folded))
      throw malformed(`${where} has a member that some readers take for "${folded}"`);
  }
}

function kindOf(method: string, params: JsonObject): McpAction {
  // Nothing is subscribed to: it is for the server to say what that is. Revisions from 2026-07-28 on have no such method.
  if (/^resources\/(?:un)?subscribe$/.test(method) && params["uri"] === undefined) return "mcp.other";
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
