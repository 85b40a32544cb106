/** Who asks, and in which session: both before anything else is looked at. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Authenticated, Means, Received } from "./exchange.ts";

export async function authenticate(received: Received, means: Means): Promise<Authenticated> {
  const { request } = received.incoming;
  const principal = await means.authenticate(request);
  const client = printable(request.headers.get("user-agent"))?.split(" ")[0] ?? "unknown";
  const conversation = printable(request.headers.get("steno-conversation"));
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

function printable(text: string | null): string | undefined {
  const cleaned = text
    ?.replace(/[^\x20-\x7e]/g, "")
    .trim()
    .slice(0, 200);
  return cleaned === "" ? undefined : cleaned;
}
