/** Fields that repeat what a message says (MCP 2026-07-28, Streamable HTTP): who decides by them must decide by the same. */
import { Refusal, type RefusalCode } from "#durable/format/refusal.ts";
import { isObject, type Json, type JsonObject, textOf } from "#workers/wire/json/strict.ts";
import type { Message } from "./message.ts";

/** Revisions this gateway knows the rules of; another may mean something else by the same words. */
const REVISIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
/** The first without sessions, whose fields mirror the message. Revisions are dates, and sort as text. */
const STATELESS = "2026-07-28";
const META_VERSION = "io.modelcontextprotocol/protocolVersion";
const NAMED: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);
const PARAM = "mcp-param-";
const ENCODED = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/;

/** HEADER_MISMATCH, UNSUPPORTED_PROTOCOL_VERSION, and INVALID_PARAMS of JSON-RPC */
const [MISMATCH, UNSUPPORTED, INVALID] = [-32020, -32022, -32602];

/** A no that has a code of its own in MCP. */
export class McpRefusal extends Refusal {
  readonly rpc: { readonly code: number; readonly data?: object };

  constructor(code: RefusalCode, message: string, rpc: McpRefusal["rpc"]) {
    super(code, message);
    this.rpc = rpc;
  }
}

/**
 * The revision that a request says it is of; none says nothing. Throws where this gateway does not know it, with those of the
 * era: messages of the stateless one say the revision themselves.
 */
export function revisionOf(headers: Headers, said?: string): string | undefined {
  const requested = headers.get("mcp-protocol-version") ?? undefined;
  if (requested === undefined || REVISIONS.includes(requested)) return requested;
  const supported = REVISIONS.filter((one) => said === undefined || one >= STATELESS);
  const data = { supported, requested: requested.slice(0, 64) };
  throw new McpRefusal("malformed", "this revision of MCP is not known here", { code: UNSUPPORTED, data });
}

/**
 * Throws when a field says other than the message: in the stateless era also when it is missing, before it only where it is
 * there. Of `Mcp-Param-…` each must be something that the call is given.
 */
export function checkMirrors(headers: Headers, { kind, method, name, params }: Message): void {
  const meta = params["_meta"];
  const said = isObject(meta) ? textOf(meta[META_VERSION]) : undefined;
  const revision = revisionOf(headers, said);
  if (kind === "mcp.reply") {
    if (revision !== undefined && revision >= STATELESS) throw mismatch("MCP-Protocol-Version");
    return;
  }
  const must = (said ?? "") >= STATELESS || (revision ?? "") >= STATELESS;
  if (must && said === undefined)
    throw new McpRefusal("malformed", `params._meta says no ${META_VERSION}`, { code: INVALID });
  if ((must || said !== undefined) && revision !== said) throw mismatch("MCP-Protocol-Version");
  compare("Mcp-Method", headers, method, must);
  if (NAMED.has(method) || headers.has("mcp-name")) compare("Mcp-Name", headers, name ?? "", must);
  checkParams(headers, params["arguments"] ?? {});
}

function checkParams(headers: Headers, given: Json): void {
  const fields = [...headers].filter(([field]) => field.startsWith(PARAM));
  if (fields.length === 0) return;
  const values = new Set(scalarsIn(given));
  for (const [field, value] of fields) {
    const text = decoded(value);
    if (text === undefined || !values.has(text)) throw mismatch(field);
  }
}

function scalarsIn(json: Json): readonly string[] {
  if (Array.isArray(json)) return json.flatMap(scalarsIn);
  if (isObject(json)) return Object.values(json as JsonObject).flatMap(scalarsIn);
  return json === null ? [] : [String(json)];
}

function compare(field: string, headers: Headers, said: string, must: boolean): void {
  const value = headers.get(field);
  if (value === null && !must) return;
  if (value === null || decoded(value) !== said) throw mismatch(field);
}

/** What a field cannot hold is sent as `=?base64?…?=`; undefined when that is not UTF-8 in base64. */
function decoded(value: string): string | undefined {
  const encoded = ENCODED.exec(value)?.[1];
  if (encoded === undefined) return value;
  try {
    const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // Compared with what the message says, which it then is not.
    return undefined;
  }
}

const mismatch = (field: string): McpRefusal =>
  new McpRefusal("malformed", `the field ${field} is not what the message says`, { code: MISMATCH });
