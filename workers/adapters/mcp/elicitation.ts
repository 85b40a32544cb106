/** Clients that open an address for their user when a server asks for that (MCP 2025-11-25, Elicitation, URL mode). */
import type { Refusal } from "#durable/format/refusal.ts";
import { isObject, type Json, type JsonObject } from "#workers/wire/json/strict.ts";

/** Sessions remembered; beyond them, and after a restart, a client is told in words what it would be shown. */
const REMEMBERED_MAX = 10_000;
/** URL_ELICITATION_REQUIRED */
const REQUIRED = -32042;

export class Elicitors {
  readonly #sessions = new Set<string>();

  /** Whether `initialize` declares it: then the session that is opened by it does. */
  static declares(params: JsonObject): boolean {
    const capabilities = memberOf(params, "capabilities");
    return isObject(memberOf(memberOf(capabilities, "elicitation"), "url"));
  }

  remember(session: string | null): void {
    if (session === null) return;
    if (this.#sessions.size >= REMEMBERED_MAX) this.#sessions.clear();
    this.#sessions.add(session);
  }

  has(session: string | null): boolean {
    return session !== null && this.#sessions.has(session);
  }
}

/** The error that has a client show its user where the call is decided on; undefined where there is no such place. */
export function elicitation({ approval, link, message }: Refusal): object | undefined {
  if (approval === undefined || link === undefined) return undefined;
  const asked = { mode: "url", elicitationId: approval, url: link, message };
  return { code: REQUIRED, message, data: { elicitations: [asked] } };
}

const memberOf = (json: Json | undefined, name: string): Json | undefined =>
  isObject(json) ? json[name] : undefined;
