/** Programs the demo runs: never synchronously, since the identity provider answers from this same Node program. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import type { Writable } from "node:stream";

export type Ended = { readonly code: number; readonly out: string; readonly err: string };
type RunOptions = {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What it reads; nothing unless given. */
  readonly input?: string;
};

const TIMEOUT_MS = 60_000;

/** Runs a program to its end, whatever its exit code. Throws when it cannot be started or takes too long. */
export function tryRun(
  command: string,
  args: readonly string[],
  { input, ...options }: RunOptions = {},
): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const child = execFile(
    command,
    args,
    { ...options, timeout: TIMEOUT_MS, killSignal: "SIGKILL", maxBuffer: 16 << 20 },
    (error, out, err) => {
      if (error === null) resolve({ code: 0, out, err });
      else if (typeof error.code === "number") resolve({ code: error.code, out, err });
      else reject(new Error(`${command} ${args[0] ?? ""}: ${error.message}`, { cause: error }));
    },
  );
  // Nobody is there to answer a question.
  // One that ends without reading it says by its exit code what is wrong.
  child.stdin?.once("error", () => undefined).end(input);
  return promise;
}

/** Runs a program to its end and gives its output. Throws, with what it said, when it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, out, err } = await tryRun(command, args, options);
  if (code !== 0)
    throw new Error(`${command} ${args.join(" ")} ended with ${code}: ${err.trim() || out.trim()}`);
  return out;
}

/** Neither this machine's git configuration, nor a repository around us, nor a proxy has a say. */
export function gitEnvironment(home: string, config: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^GIT_|_proxy$/i.test(name));
  return {
    ...Object.fromEntries(kept),
    HOME: home,
    GIT_CONFIG_GLOBAL: config,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
  };
}

export interface Program {
  /** What it wrote so far. */
  output(): string;
  running(): boolean;
  /** SIGTERM, and back when it has ended. */
  stop(): Promise<void>;
}

// Ends the program with SIGTERM when descriptor 3 ends, which it also does when the demo is killed. A group of its own
// keeps a Ctrl-C in the terminal from reaching the program before the demo has decided what to do.
const GUARD =
  'trap : TERM; { read -r _ <&3; kill -TERM 0; } & watch=$!; "$@" 3<&-; code=$?; kill $watch 2>/dev/null; exit $code';

/** Starts a program whose output goes to `log`. */
export function startProgram(
  command: readonly string[],
  options: { readonly log: string; readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Program {
  const log = openSync(options.log, "a");
  const child: ChildProcess = spawn("/bin/sh", ["-c", GUARD, "sh", ...command], {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: ["ignore", log, log, "pipe"],
  });
  closeSync(log);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  return {
    output: () => readFileSync(options.log, "utf8"),
    running: () => child.pid !== undefined && child.exitCode === null && child.signalCode === null,
    async stop() {
      (child.stdio[3] as Writable | null)?.end();
      await ended;
    },
  };
}
