// The hook's shim as an agent runs it: how long one event takes from its start to its end, beside a shell that does nothing.
import { spawn } from "node:child_process";
import { quantile, type Row } from "../measure.ts";
import type { Variant } from "./variants.ts";

const SHIM = new URL("../../../scripts/hook/shim.sh", import.meta.url).pathname;
const EVENT = {
  conversation_id: "bench",
  generation_id: "g1",
  hook_event_name: "beforeShellExecution",
  cursor_version: "2.0.0",
  workspace_roots: ["/home/robin/app"],
  command: "git status",
  cwd: "/home/robin/app",
};

function once(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const began = performance.now();
  const child = spawn(command, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (part: Buffer) => {
    said += part.toString();
  });
  child.once("error", reject);
  child.once("close", (code) => {
    const took = performance.now() - began;
    if (code === 0 && (args.length === 2 ? said.includes("allow") : true)) resolve(took);
    else reject(new Error(`${command} ${args.join(" ")} ended with ${code}: ${said}`));
  });
  // A shell that does nothing reads nothing either.
  child.stdin.once("error", () => undefined).end(JSON.stringify(EVENT));
  return promise;
}

export async function measureShim(variants: readonly Variant[], rounds: number): Promise<Row[]> {
  const path = process.env["PATH"];
  const programs = [
    { name: "/bin/sh that does nothing", run: () => once("/bin/sh", ["-c", ":", "sh"], { PATH: path }) },
    ...variants.flatMap(({ name, hooks }) => {
      if (!hooks) return [];
      const env = {
        PATH: path,
        HOME: "/nonexistent",
        STENO_TOKEN: hooks.token,
        STENO_GATEWAY: hooks.gateway,
      };
      return [{ name: `shim, ${name}`, run: () => once(SHIM, ["cursor", "beforeShellExecution"], env) }];
    }),
  ];
  const took = programs.map((): number[] => []);
  for (let round = -3; round < rounds; round++)
    for (const [i, { run }] of programs.entries()) {
      const one = await run();
      if (round >= 0) took[i]?.push(one);
    }
  return programs.map(({ name }, i) => ({
    program: name,
    "p50 ms": quantile(took[i] ?? [], 0.5),
    "p99 ms": quantile(took[i] ?? [], 0.99),
  }));
}
