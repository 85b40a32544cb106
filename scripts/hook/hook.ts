/** `steno hook`: the shim between an agent's hook and the gateway, run or printed. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";

const SHIMS = { sh: "shim.sh", node: "shim.mjs" } as const;
export type Shim = keyof typeof SHIMS;

export const isShim = (text: string): text is Shim => Object.hasOwn(SHIMS, text);

/** Where the shim of a kind lies. It needs no other file. */
export const shimPath = (shim: Shim): string => join(import.meta.dirname, SHIMS[shim]);

/** `hook cursor|claude [EVENT]` exits as the agent expects of a hook: 0, 2 for a no, 1 where a no comes too late. */
export async function hook(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, { print: "text" }, 2);
  const [agent, event] = rest;
  if (values.print !== undefined) {
    if (agent !== undefined) throw new UsageFault("--print stands alone: the shim is told agent and event");
    if (!isShim(values.print)) throw new UsageFault(`--print is one of ${Object.keys(SHIMS).join(", ")}`);
    terminal.out(readFileSync(shimPath(values.print), "utf8").trimEnd());
    return 0;
  }
  if (agent !== "cursor" && agent !== "claude") throw new UsageFault("say hook cursor or hook claude");
  const child = spawn(process.execPath, [shimPath("node"), agent, event ?? ""], {
    stdio: "inherit",
    env: terminal.env,
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once("error", reject);
  // Ended by a signal: nobody was asked.
  child.once("exit", (code) => resolve(code ?? 2));
  return promise;
}
