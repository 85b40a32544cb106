/** `steno mcp CONNECTION`: an MCP server over stdio that is a connection of the gateway. */
import { once } from "node:events";
import * as v from "valibot";
import { ConnectionName } from "#durable/format/ids.ts";
import { target } from "#scripts/cli/client.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { bridge } from "./bridge.ts";
import { Link } from "./link.ts";

/** Returns 0 when the client has gone. Throws at once when there is no gateway's URL or no token that can be used. */
export async function mcp(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, { gateway: "text" }, 1);
  const [connection] = rest;
  if (connection === undefined) throw new UsageFault("which connection? as steno.toml names it");
  if (!v.is(ConnectionName, connection)) throw new UsageFault(`"${connection}" is no connection's name`);
  const { env } = terminal;
  const to = () => target("agents", values.gateway, env);
  to();
  const conversation = env["STENO_CONVERSATION"] ?? env["CURSOR_CONVERSATION_ID"];
  const stop = new AbortController();
  const end = () => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end);
  // The client is gone: nobody reads what is written from now on.
  process.stdout.on("error", end);
  const link = new Link({ connection, target: to, ...(conversation !== undefined && { conversation }) });
  await bridge(link, {
    input: process.stdin,
    write: async (line) => {
      if (!process.stdout.write(`${line}\n`)) await once(process.stdout, "drain", { signal: stop.signal });
    },
    complain: (text) => terminal.err(`steno mcp: ${text}`),
    stop: stop.signal,
  });
  process.stdin.destroy();
  return 0;
}
