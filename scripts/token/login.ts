/** `steno login`: a token of the gateway's provider, by the device flow, into the file that is kept. */
import { setTimeout } from "node:timers/promises";
import * as v from "valibot";
import { baseOf } from "#scripts/cli/client.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { oneLine, TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { type Clock, tokenByDevice } from "./device.ts";
import { keep, usableToken } from "./kept.ts";
import { token } from "./token.ts";

const FLAGS = {
  "client-id": "text",
  issuer: "text",
  gateway: "text",
  scope: "text",
  resource: "text",
  console: "flag",
  json: "flag",
} as const;

const CLOCK: Clock = { now: Date.now, sleep: async (ms) => void (await setTimeout(ms)) };
const Issuers = v.object({ issuers: v.array(v.string()) });

/** Keeps nothing before there is a token. Then says whose it is, as `steno token` does. */
export async function login(
  args: string[],
  terminal: Terminal = TERMINAL,
  clock: Clock = CLOCK,
): Promise<number> {
  const { values } = readFlags(args, FLAGS);
  const { "client-id": id, scope = "openid", resource } = values;
  if (id === undefined) throw new UsageFault("which client? --client-id names it, as your provider knows it");
  const issuer = values.issuer ?? (await issuerOf(baseOf("agents", values.gateway, terminal.env)));
  const client = { issuer, id, scope, ...(resource !== undefined && { resource }) };
  const given = await tokenByDevice(
    client,
    ({ url, code, whole }) => {
      terminal.err(oneLine(`open ${whole ?? url}`));
      terminal.err(oneLine(whole === undefined ? `and enter ${code}` : `and look that it says ${code}`));
    },
    clock,
  );
  keep(terminal.env, values.console === true ? "console-token" : "token", usableToken(given, issuer));
  const flags = [
    ...(values.console === true ? ["--console"] : []),
    ...(values.json === true ? ["--json"] : []),
  ];
  return token(flags, terminal, undefined, clock.now);
}

/** The one whose tokens the gateway takes. Throws when there are several, or none. */
async function issuerOf(base: URL): Promise<string> {
  const url = new URL(`${base.pathname.replace(/\/$/, "")}/v1/issuers`, base);
  let value: unknown;
  try {
    const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(15_000) });
    value = await response.json();
  } catch (cause) {
    throw new Error(`${url.origin} does not say who signs people in: give --issuer`, { cause });
  }
  const parsed = v.safeParse(Issuers, value);
  if (!parsed.success)
    throw new Error(`${url.origin} is not a Steno gateway, or an older one: give --issuer`);
  const [issuer, ...more] = parsed.output.issuers;
  if (issuer === undefined) throw new Error(`${url.origin} takes nobody's tokens: no issuer is configured`);
  if (more.length > 0)
    throw new Error(
      `${url.origin} takes tokens of several: give --issuer, one of ${[issuer, ...more].join(", ")}`,
    );
  return issuer;
}
