/** A refusal in MCP's words: an error of JSON-RPC, and for a tool a result that says it failed, which its model reads. */
import type { McpOperation, Unknown } from "#durable/format/operation.ts";
import type { Refusal, RefusalCode } from "#durable/format/refusal.ts";
import type { Incoming } from "../adapter.ts";
import { Elicitors, elicitation } from "./elicitation.ts";
import { McpRefusal } from "./mirror.ts";
import { waitToolName } from "./wait-tool.ts";

/** JSON-RPC 2.0 §5.1; what is not of the protocol is from the range that servers may define. */
const CODES: Partial<Record<RefusalCode, number>> = {
  malformed: -32600,
  unknown_path: -32601,
  fault: -32603,
};
const OTHER = -32000;
const INVALID_PARAMS = -32602;
/** What a model can make something of: it may do otherwise, or wait. */
const TOLD: ReadonlySet<RefusalCode> = new Set([
  "denied",
  "rate_limited",
  "approval_pending",
  "approval_over",
  "stale",
]);

/** One for the isolate: `initialize` and what is held come as requests of their own. */
export const elicitors = new Elicitors();

/**
 * - 401 and 403 of identity by status: clients then sign in again. At `/mcp/` with where to (RFC 9728), at `/mcp-token/`
 *   without, since clients that find a way to sign in forget the token they were configured with.
 * - A GET that is refused: 405, which clients take for "no stream here".
 * - What waits for approval, to a client that opens addresses for its user: the one where it is decided on.
 * - All else to a request: 200, so that nobody falls back to an older transport.
 */
export function refuseMcp(refusal: Refusal, incoming: Incoming, operation: McpOperation | Unknown): Response {
  const { code, status, message } = refusal;
  const { request } = incoming;
  if (code === "unauthenticated") return answered(401, errorOf(null, refusal), challenge(incoming));
  if (request.method !== "POST" && code === "not_yours") return answered(404, errorOf(null, refusal));
  if (request.method !== "POST")
    return answered(request.method === "GET" ? 405 : status, errorOf(null, refusal));
  if (operation.kind === "unknown")
    return answered(code === "malformed" ? 400 : status, errorOf(null, refusal));
  const { kind, id } = operation;
  if (refusal instanceof McpRefusal) return answered(400, errorOf(id ?? null, refusal));
  // Clients open another session when theirs is not there; somebody else's is not.
  if (code === "not_yours") return answered(404, errorOf(id ?? null, refusal));
  if (id === undefined || kind === "mcp.reply") return answered(status, errorOf(null, refusal));
  const pending = code === "approval_pending" && elicitors.has(request.headers.get("mcp-session-id"));
  const shown = pending ? elicitation(refusal) : undefined;
  if (shown) return answered(200, { jsonrpc: "2.0", id, error: shown });
  if (kind === "mcp.tools/call" && TOLD.has(code)) {
    const wait =
      code === "approval_pending"
        ? `, or wait for it with ${waitToolName(incoming.connection.prefix)} {"approval": "${refusal.approval}"}`
        : "";
    const content = [{ type: "text", text: `Refused by the gateway: ${message}${wait}` }];
    return answered(200, { jsonrpc: "2.0", id, result: { content, isError: true } });
  }
  // A tool that is not there is a wrong parameter, not a missing method (MCP, Tools, "Error Handling").
  const wrong = kind === "mcp.tools/call" && code === "unknown_path";
  return answered(200, errorOf(id, refusal, wrong ? INVALID_PARAMS : undefined));
}

/** What a request with this id is answered by JSON-RPC. */
export function errorOf(id: string | number | null, refusal: Refusal, as?: number) {
  const { code, message, later } = refusal;
  return {
    jsonrpc: "2.0",
    id,
    error: {
      code: as ?? (refusal instanceof McpRefusal ? refusal.rpc.code : undefined) ?? CODES[code] ?? OTHER,
      message,
      data: {
        refusal: code,
        ...(later !== undefined && { retryAfter: later }),
        ...(refusal instanceof McpRefusal && refusal.rpc.data),
      },
    },
  };
}

function challenge({ request, connection }: Incoming): Record<string, string> {
  const { origin, pathname } = new URL(request.url);
  if (pathname.startsWith("/mcp-token/")) return {};
  const metadata = `${origin}/.well-known/oauth-protected-resource/mcp/${connection.name}`;
  return { "www-authenticate": `Bearer resource_metadata="${metadata}"` };
}

const answered = (status: number, body: object, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
