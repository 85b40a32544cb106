/** Hooks of Cursor and Claude Code: what the agent is about to do is asked here, and the answer is the decision. */
import type { HookFrame } from "#durable/format/frame.ts";
import type { HookOperation, Unknown } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { peek } from "#workers/wire/body.ts";
import { requestHeaders } from "#workers/wire/headers.ts";
import { isObject, type JsonObject, parseJson, textOf } from "#workers/wire/json/strict.ts";
import type { Adapter, Flawed, Incoming, Inspected } from "../adapter.ts";
import { readClaude } from "./agent/claude.ts";
import { readCursor } from "./agent/cursor.ts";
import type { HookEvent } from "./event.ts";
import { questionOf } from "./questions.ts";
import { type Agent, consent, denial } from "./reply.ts";

/** Longest event: files that are read, and what commands print, come in full. */
const BODY_MAX = 32 * 1024 * 1024;

type Told = Omit<HookFrame, "x">;
type HookInspected = Inspected<HookOperation, Told>;

export const hooksAdapter: Adapter<HookOperation, Told> = {
  kind: "hooks",

  async inspect(incoming: Incoming): Promise<HookInspected | Flawed<HookOperation>> {
    const { request, connection, path, query } = incoming;
    if (request.method !== "POST" || path !== "/" || query !== "")
      throw new Refusal("unknown_path", `hooks are sent by POST to /hooks/${connection.name}`);
    const body = await peek(request, BODY_MAX, incoming.stallSeconds, () => false);
    if (body.kind === "none") throw new Refusal("malformed", "the hook's event has no body");
    if (body.kind === "stream")
      throw new Refusal("too_large", `the hook's event is longer than ${BODY_MAX / 1024 / 1024} MB`);
    const outgoing = { method: "POST", path, headers: requestHeaders(request.headers) };
    let told: HookEvent;
    let content: string;
    try {
      ({ told, content } = eventOf(agentOf(incoming), body.bytes));
    } catch (flaw) {
      return { operation: { kind: "unknown" }, outgoing, body, reading: "text", flaw };
    }
    const { question, operation, claims } = questionOf(told, connection);
    const frame = { k: "hook", event: told.event, ...told.frame, ...(claims && { claims }) } as const;
    return {
      operation,
      questions: [question],
      outgoing,
      body,
      frames: [frame],
      reading: "json",
      content,
      ...(told.conversation !== undefined && { conversation: told.conversation }),
      ...(operation.kind === "session.end" && { follows: "end" as const }),
    };
  },

  async forward({ operation }, _send) {
    return answer(consent(operation.event));
  },

  patience: ({ operation: { kind } }) => (kind === "session.end" ? undefined : HOLD_SECONDS),

  refuse: refuseHook,
};

/** The shim waits 30 s for an answer, and asks again for as long as it is told to. */
const HOLD_SECONDS = 20;

/**
 * A no to an event that can be stopped is an answer like any other, since Claude Code takes every status but 2xx for a
 * yes. Where the event comes too late for one, or nobody knows which it is, the status says that something is wrong.
 */
export function refuseHook(
  refusal: Refusal,
  incoming: Incoming,
  operation: HookOperation | Unknown,
): Response {
  const { status, message } = refusal;
  const no = operation.kind === "unknown" ? undefined : denial(agentOf(incoming), operation.event, message);
  // The shim asks again; whoever else reads it, reads a no.
  if (no) return answer(no, refusal.code === "approval_pending" ? 202 : 200);
  const headers = new Headers({ "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  if (refusal.code === "unauthenticated") headers.set("www-authenticate", 'Bearer realm="steno"');
  return new Response(`${message}\n`, { status, headers });
}

function answer(reply: object, status = 200): Response {
  const bytes = new TextEncoder().encode(`${JSON.stringify(reply)}\n`);
  const headers = { "content-type": "application/json", "content-length": `${bytes.byteLength}` };
  return new Response(bytes, { status, headers });
}

/** Connections of this kind are named after the agent: the configuration has no others. */
const agentOf = ({ connection }: Incoming): Agent => (connection.name === "claude" ? "claude" : "cursor");

/** What differs when an agent asks the same again: its turn, its call, what it says about it. */
const PASSING: ReadonlySet<string> = new Set([
  ...["generation_id", "prompt_id", "tool_use_id", "tool_call_id", "subagent_id", "agent_message"],
  ...["model", "model_id", "model_params", "cursor_version", "transcript_path", "permission_mode"],
]);

type Read = { readonly told: HookEvent; readonly content: string };

function eventOf(agent: Agent, bytes: Uint8Array): Read {
  const json = parseJson(withoutMark(bytes), "the hook's event");
  if (!isObject(json)) throw new Refusal("malformed", "the hook's event is no JSON object");
  const event = textOf(json["hook_event_name"]);
  if (event === undefined)
    throw new Refusal("malformed", "the hook's event does not say its hook_event_name");
  const told = read(agent, event, json);
  if (told)
    return { told, content: JSON.stringify(Object.entries(json).filter(([name]) => !PASSING.has(name))) };
  const which = event.slice(0, 60);
  throw new Refusal(
    "malformed",
    `${which} is no hook event that is known here: what cannot be read is not allowed`,
  );
}

const read = (agent: Agent, event: string, json: JsonObject): HookEvent | undefined =>
  agent === "claude" ? readClaude(event, json) : readCursor(event, json);

/** Cursor on Windows begins with a byte order mark. */
const withoutMark = (bytes: Uint8Array): Uint8Array =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
