// An agent that runs its hook: the shim as a program of its own, with the event on its standard input.
import { execFile } from "node:child_process";
import { type Shim, shimPath } from "#scripts/hook/hook.ts";

export const SHIMS: readonly Shim[] = ["sh", "node"];

export type Said = { readonly code: number; readonly out: string; readonly err: string };

/** `env` is all it has beside PATH. */
export function runShim(
  shim: Shim,
  args: readonly string[],
  input: string | Uint8Array,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Said> {
  const [program, own] = shim === "sh" ? [shimPath(shim), []] : [process.execPath, [shimPath(shim)]];
  const { promise, resolve } = Promise.withResolvers<Said>();
  const child = execFile(
    program,
    [...own, ...args],
    { env: { PATH: process.env["PATH"], ...env } },
    (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
  );
  // A shim that needs no event to answer does not read it.
  child.stdin?.once("error", () => undefined).end(input);
  return promise;
}
