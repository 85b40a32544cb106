/** The bridge's way to the gateway: Streamable HTTP with the user's token, and the session that the server opened. */
import type { Target } from "#scripts/cli/client.ts";
import { type Message, messageOf, mirrors } from "./message.ts";
import { eventsOf, mediaType, type Place } from "./stream.ts";

export type LinkOptions = {
  readonly connection: string;
  /** Asked for each request anew: tokens are renewed while a bridge runs. Throws when there is none. */
  readonly target: () => Target;
  /** The agent's conversation, where it says one. */
  readonly conversation?: string;
};

/** Letters of one message, both ways. */
export const MESSAGE_MAX = 16 * 1024 * 1024;

/** Nothing of the request has left: it was certainly not done. */
export class Unsent extends Error {
  override readonly name = "Unsent";
}

/** Codes of Node and undici for a connection that never was. */
const UNCONNECTED: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

export class Link {
  readonly #options: LinkOptions;
  #session: Record<string, string> = {};

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Whether the server has opened a session (revisions up to 2025-11-25). */
  get hasSession(): boolean {
    return this.#session["mcp-session-id"] !== undefined;
  }

  /** Keeps the session and the revision of an answer to `initialize`. */
  opened(response: Response, version: string | undefined): void {
    const id = response.headers.get("mcp-session-id");
    this.#session = {
      ...(id !== null && { "mcp-session-id": id }),
      ...(version !== undefined && { "mcp-protocol-version": version }),
    };
  }

  post(message: Message, signal: AbortSignal): Promise<Response> {
    const session = message.method === "initialize" ? {} : this.#session;
    const headers = { "content-type": "application/json", ...session, ...mirrors(message) };
    return this.#send("POST", headers, signal, message.text);
  }

  /** What the server says unasked, or from `place` on the rest of a stream that broke. */
  listen(place: Place, signal: AbortSignal): Promise<Response> {
    const from = place.last === undefined ? {} : { "last-event-id": place.last };
    return this.#send("GET", { ...this.#session, ...from }, signal);
  }

  async end(signal: AbortSignal): Promise<void> {
    if (!this.hasSession) return;
    const response = await this.#send("DELETE", this.#session, signal);
    await response.body?.cancel();
  }

  async #send(
    method: string,
    headers: Record<string, string>,
    signal: AbortSignal,
    body?: string,
  ): Promise<Response> {
    const { connection, conversation } = this.#options;
    const { base, token } = this.#target();
    const url = new URL(`${base.pathname.replace(/\/$/, "")}/mcp-token/${connection}`, base);
    try {
      return await fetch(url, {
        method,
        headers: {
          ...headers,
          accept: method === "GET" ? "text/event-stream" : "application/json, text/event-stream",
          authorization: `Bearer ${token}`,
          "user-agent": "steno-mcp",
          ...(conversation !== undefined && { "steno-conversation": conversation }),
        },
        ...(body !== undefined && { body }),
        // The token is for this origin.
        redirect: "error",
        signal,
      });
    } catch (thrown) {
      // Undici says "fetch failed" and keeps what failed as its cause.
      const cause = thrown instanceof TypeError ? thrown.cause : undefined;
      if (!(cause instanceof Error)) throw thrown;
      const why = `${url.origin} cannot be reached`;
      throw "code" in cause && UNCONNECTED.has(String(cause.code))
        ? new Unsent(why, { cause })
        : new Error(why, { cause });
    }
  }

  #target(): Target {
    try {
      return this.#options.target();
    } catch (cause) {
      throw new Unsent("the gateway cannot be asked", { cause });
    }
  }
}

/** The messages of a good answer, in order; `place` moves along a stream. Throws when it breaks or is no MCP. */
export async function* messagesIn(response: Response, place: Place): AsyncGenerator<Message> {
  if (mediaType(response) !== "text/event-stream") {
    const text = await response.text();
    if (text.trim() === "") return;
    yield understood(text);
    return;
  }
  for await (const text of eventsOf(response, place, MESSAGE_MAX)) yield understood(text);
}

function understood(text: string): Message {
  const message = messageOf(text);
  if (message === undefined) throw new Error("the server's answer is no message of JSON-RPC");
  return message;
}
