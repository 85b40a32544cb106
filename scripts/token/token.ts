/** `steno token` and `steno logout`: what this machine keeps for a gateway's agents' socket, seen, replaced, forgotten. */
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { oneLine, TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { claimsOf } from "./claims.ts";
import { forget, keep, keptPath, keptToken, usableToken } from "./kept.ts";

const FLAGS = { json: "flag", console: "flag" } as const;
/** Longer than any token the gateway looks at. */
const INPUT_MAX = 64 * 1024;

/** `token` says what is kept, never the token; exit 1 when there is none or it has expired. `token keep` reads one. */
export async function token(
  args: string[],
  terminal: Terminal = TERMINAL,
  input: AsyncIterable<Uint8Array> = process.stdin,
  now: () => number = Date.now,
): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 1);
  const [verb] = rest;
  const name = values.console === true ? "console-token" : "token";
  const path = keptPath(terminal.env, name);
  if (verb !== undefined && verb !== "keep") throw new UsageFault("say token, or token keep");
  if (verb === "keep") keep(terminal.env, name, usableToken(await line(input), "standard input"));
  const kept = keptToken(terminal.env, name);
  if (kept === undefined) {
    terminal.err(`there is no token in ${path}: put one there with steno token keep, which reads it`);
    return 1;
  }
  const { iss, sub, aud, exp } = claimsOf(kept) ?? {};
  const expires = exp === undefined ? undefined : new Date(exp * 1000).toISOString();
  const expired = exp !== undefined && exp * 1000 <= now();
  if (values.json === true) terminal.out(JSON.stringify({ path, iss, sub, aud, expires, expired }));
  else {
    terminal.out(`token ${path}`);
    const said = { issuer: iss, subject: sub, audience: typeof aud === "string" ? aud : aud?.join(" ") };
    for (const [key, value] of Object.entries({ ...said, expires }))
      if (value !== undefined) terminal.out(oneLine(`${key} ${value}`));
  }
  if (expired) terminal.err("it has expired");
  return expired ? 1 : 0;
}

/** Forgets both tokens of this machine; where the issuer counts them as valid, they stay so until they expire. */
export async function logout(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values } = readFlags(args, { json: "flag" }, 0);
  const forgotten = (["token", "console-token"] as const)
    .filter((name) => forget(terminal.env, name))
    .map((name) => keptPath(terminal.env, name));
  if (values.json === true) terminal.out(JSON.stringify({ forgotten }));
  else for (const path of forgotten) terminal.out(`forgotten ${path}`);
  if (forgotten.length === 0 && values.json !== true) terminal.out("there was no token");
  return 0;
}

async function line(input: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const part of input) {
    text += Buffer.from(part).toString("latin1");
    if (text.length > INPUT_MAX) throw new Error("standard input is too long for a token");
  }
  return text.trim();
}
