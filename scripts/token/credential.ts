/** `steno credential`: git's credential helper (gitcredentials(7)), which answers for the gateway's origin and no other. */

import { baseOf, target } from "#scripts/cli/client.ts";
import { readFlags } from "#scripts/cli/flags.ts";
import { TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { reason } from "#scripts/config/finding.ts";
import { claimsOf } from "./claims.ts";

const FLAGS = { gateway: "text" } as const;

/** More than git ever says. */
const INPUT_MAX = 1 << 20;

/**
 * Says the kept token to `get`. Where there is none that can be of use git is told to stop, since a person who is asked for
 * a password has none to give. What git wants stored or erased is nothing of ours: the token stays where it is kept.
 */
export async function credential(
  args: string[],
  terminal: Terminal = TERMINAL,
  input: AsyncIterable<Uint8Array> = process.stdin,
  now: () => number = Date.now,
): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 1);
  const [action] = rest;
  // Actions that git may come to know are ignored, as gitcredentials(7) asks of helpers.
  if (action !== "get" && action !== "erase") return 0;
  const asked = attributes(await textOf(input));
  const to = baseOf("agents", values.gateway, terminal.env).origin;
  if (originAsked(asked) !== to) return 0;
  if (action === "erase") {
    terminal.err("steno: the gateway does not take this token: keep a new one with steno token keep");
    return 0;
  }
  try {
    const { token } = target("agents", values.gateway, terminal.env);
    const expires = claimsOf(token)?.exp;
    if (expires !== undefined && expires * 1000 <= now())
      throw new Error(`the token has expired, ${new Date(expires * 1000).toISOString()}: keep a new one`);
    terminal.out(`username=${userName(terminal.env)}`);
    terminal.out(`password=${token}`);
    if (expires !== undefined) terminal.out(`password_expiry_utc=${expires}`);
  } catch (thrown) {
    terminal.err(`steno: ${reason(thrown)}`);
    terminal.out("quit=1");
  }
  return 0;
}

/** The gateway takes any; with the conversation of the agent whose terminal this is, git joins the session of its hooks. */
function userName(env: Terminal["env"]): string {
  const conversation = env["STENO_CONVERSATION"] || env["CURSOR_CONVERSATION_ID"];
  return conversation !== undefined && /^[\x21-\x39\x3b-\x7e]{1,200}$/.test(conversation)
    ? `conversation.${conversation}`
    : "steno";
}

/** `key=value` lines up to an empty one. Of a key that comes again the last counts, as for git. */
function attributes(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line === "") break;
    const equals = line.indexOf("=");
    if (equals > 0) found.set(line.slice(0, equals), line.slice(equals + 1));
  }
  return found;
}

function originAsked(asked: ReadonlyMap<string, string>): string | undefined {
  const url = `${asked.get("protocol")}://${asked.get("host")}`;
  return URL.canParse(url) ? new URL(url).origin : undefined;
}

async function textOf(input: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of input) {
    length += part.byteLength;
    if (length > INPUT_MAX) throw new Error("what was asked is longer than git ever asks");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
