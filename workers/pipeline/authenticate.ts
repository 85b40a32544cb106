/** Who asks, and in which session: both before anything else is looked at. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { carriedConversation } from "#workers/identity/carrier.ts";
import type { Authenticated, Looked, Means, Received } from "./exchange.ts";

export async function authenticate(received: Received, means: Means): Promise<Authenticated> {
  const { request } = received.incoming;
  const principal = await means.authenticate(request);
  const client = printable(request.headers.get("user-agent"))?.split(" ")[0] ?? "unknown";
  const conversation = [
    ...CONVERSATION.map((name) => request.headers.get(name)),
    carriedConversation(request.headers) ?? null,
  ]
    .map(printable)
    .find((said) => said !== undefined);
  const named = request.headers.get("steno-session");
  const session = named === null ? undefined : v.safeParse(SessionId, named);
  if (session && !session.success)
    throw new Refusal("malformed", "steno-session must be a session id: ses_ and 26 letters");
  const opening = {
    principal,
    client,
    ...(conversation === undefined ? {} : { conversation }),
    ...(session ? { session: session.output } : {}),
  };
  return { ...received, principal, opening };
}

/** Into the session of the conversation that the request itself names, as a hook does. */
export function conversing<T extends Looked>(looked: T): T {
  const { inspected, opening } = looked;
  const said = "conversation" in inspected ? printable(inspected.conversation ?? null) : undefined;
  if (said === undefined) return looked;
  if (opening.conversation !== undefined && opening.conversation !== said)
    throw new Refusal("malformed", "the header names another conversation than the body");
  return { ...looked, opening: { ...opening, conversation: said } };
}

/** Where clients say which of their conversations a request belongs to: ours first, then Claude Code, Codex, opencode. */
const CONVERSATION = [
  "steno-conversation",
  "x-claude-code-session-id",
  "session-id",
  "x-session-id",
] as const;

function printable(text: string | null): string | undefined {
  const cleaned = text
    ?.replace(/[^\x20-\x7e]/g, "")
    .trim()
    .slice(0, 200);
  return cleaned === "" ? undefined : cleaned;
}
