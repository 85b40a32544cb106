/** A running gateway as the command line calls it: where it is, with which token, and what its no means. */
import * as v from "valibot";
import { reason } from "#scripts/config/finding.ts";
import { keptGateway, keptPath, keptToken, usableToken } from "#scripts/token/kept.ts";
import { oneLine, type Terminal } from "./terminal.ts";

/** `agents` speaks for oneself; `console` is for auditors and admins, with a token of its own. */
export type Socket = "agents" | "console";

export type Target = { readonly base: URL; readonly token: string };

const TIMEOUT_MS = 30_000;

const SOCKETS = {
  agents: {
    url: "STENO_GATEWAY",
    flag: "--gateway",
    at: "http://127.0.0.1:8787",
    tokens: ["STENO_TOKEN"],
    files: ["token"],
  },
  console: {
    url: "STENO_CONSOLE",
    flag: "--console",
    at: "http://127.0.0.1:8788",
    tokens: ["STENO_CONSOLE_TOKEN", "STENO_TOKEN"],
    files: ["console-token", "token"],
  },
} as const;

/** The gateway understood and said no: exit 1. Everything else that goes wrong means it could not run: exit 2. */
export class Refused extends Error {
  override readonly name = "Refused";
}

/** Throws, in one clear sentence, when the URL or the token is missing or cannot be used. */
export const target = (socket: Socket, flag: string | undefined, env: Terminal["env"]): Target => ({
  base: baseOf(socket, flag, env),
  token: tokenFor(socket, env),
});

/** Where a socket is: the flag, the environment, for agents what is kept, the default. Throws when that is no URL. */
export function baseOf(socket: Socket, flag: string | undefined, env: Terminal["env"]): URL {
  const { url, at, flag: name } = SOCKETS[socket];
  const kept = socket === "agents" ? keptGateway(env) : undefined;
  const text = flag ?? (env[url] || kept) ?? at;
  const base = URL.canParse(text) ? new URL(text) : undefined;
  if (base?.protocol === "http:" || base?.protocol === "https:") return base;
  const from = flag !== undefined ? name : env[url] ? url : keptPath(env, "gateway");
  throw new Error(`${from} is not a URL that starts with http:// or https://`);
}

/** Asks, and gives the JSON of a good answer. Throws `Refused`, or a plain error when there is no good answer. */
export async function ask(
  to: Target,
  method: "GET" | "POST" | "DELETE",
  path: string,
  body?: object,
): Promise<unknown> {
  const url = new URL(to.base.pathname.replace(/\/$/, "") + path, to.base);
  const response = await answer(to, method, url, body);
  const text = await response.text();
  if (response.ok) return parsed(text, url);
  const told = problemLine(text) ?? `${url.origin} answered ${response.status}`;
  // Without a role, or an object: an answer. Without a known caller, or a working gateway: none.
  const refused = response.status < 500 && response.status !== 401 && response.status !== 429;
  throw refused ? new Refused(told) : new Error(told);
}

function tokenFor(socket: Socket, env: Terminal["env"]): string {
  const { tokens, files } = SOCKETS[socket];
  for (const name of tokens) {
    const value = env[name]?.trim();
    if (value) return usableToken(value, name);
  }
  for (const file of files) {
    const token = keptToken(env, file);
    if (token !== undefined) return token;
  }
  throw new Error(
    `there is no token: set ${tokens[0]}, or keep it in ${keptPath(env, files[0])} with mode 0600`,
  );
}

async function answer(to: Target, method: string, url: URL, body: object | undefined): Promise<Response> {
  try {
    return await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${to.token}`,
        accept: "application/json",
        "user-agent": "steno-cli",
        ...(body && { "content-type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
      // The token is for this origin.
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (cause) {
    throw unreachable(url, cause);
  }
}

const unreachable = (url: URL, cause: unknown): Error =>
  new Error(`${url.origin} cannot be reached`, { cause });

function parsed(text: string, url: URL): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${url.origin} is not a Steno gateway: its answer is not JSON (${reason(cause)})`, {
      cause,
    });
  }
}

const Problem = v.object({ title: v.string(), detail: v.string(), instance: v.optional(v.string()) });

/** RFC 9457 as one line; undefined when it is no problem document. */
function problemLine(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // A proxy in between answers in its own words: the status says what there is to say.
    return undefined;
  }
  const problem = v.safeParse(Problem, value);
  if (!problem.success) return undefined;
  const { title, detail, instance } = problem.output;
  return oneLine(`${title}: ${detail}${instance === undefined ? "" : ` [${instance}]`}`);
}
