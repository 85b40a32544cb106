// Programs that a test starts: each in a group of its own, ended as a group, and never outliving the test run.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface Child {
  /** The id of the group's leader. */
  readonly pid: number;
  /** True until the program has ended by itself or was stopped. */
  running(): boolean;
  /** What it wrote to stdout and stderr so far. */
  output(): string;
  /** Ends the whole group with SIGKILL (ceph-osd ignores SIGTERM) and returns when none of it is left. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly log: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Workspace {
  readonly path: string;
  remove(): void;
}

const groups = new Set<number>();
const temporary = new Set<string>();

// The leader waits for the program, and beside it for the end of file on descriptor 3: that comes when the test run
// is gone, even by kill -9, and then the group goes too.
const guard = '{ read -r _ <&3; kill -KILL 0; } & "$@" 3<&-; code=$?; kill $! 2>/dev/null; exit $code';

function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** Whether any member of a group still runs. A zombie does not: init may take seconds to collect an orphan. */
function groupRuns(group: number): boolean {
  if (!signalGroup(group, 0)) return false;
  return readdirSync("/proc").some((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "latin1");
      // proc(5): after the parenthesised name come state, parent and process group.
      const [state, , member] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(member) === group && state !== "Z" && state !== "X";
    } catch {
      // It ended between the listing and the reading.
      return false;
    }
  });
}

process.on("exit", () => {
  for (const pid of groups) signalGroup(pid, "SIGKILL");
  for (const path of temporary) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
});

/** Starts a program whose output goes to a log file. */
export function startChild(command: string, args: readonly string[], options: ChildOptions): Child {
  const log = openSync(options.log, "a");
  const child: ChildProcess = spawn("/bin/sh", ["-c", guard, "sh", command, ...args], {
    detached: true,
    stdio: ["ignore", log, log, "pipe"],
    cwd: options.cwd,
    env: options.env ?? process.env,
  });
  closeSync(log);
  child.unref();
  // A socket in fact; unreferenced, so that a forgotten server does not keep the run alive.
  (child.stdio[3] as unknown as { unref(): void }).unref();
  const pid = child.pid;
  if (pid === undefined) throw new Error(`could not start ${command}`);
  groups.add(pid);
  return {
    pid,
    running: () => child.exitCode === null && child.signalCode === null,
    output: () => readFileSync(options.log, "utf8"),
    async stop() {
      signalGroup(pid, "SIGKILL");
      for (let waited = 0; groupRuns(pid); waited++) {
        if (waited > 1000) throw new Error(`group ${pid} (${command}) survives SIGKILL`);
        await sleep(5);
      }
      groups.delete(pid);
    },
  };
}

/** Runs a program to its end and returns its stdout; a failure is an error that carries its stderr. */
export function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  execFile(
    command,
    args,
    {
      cwd: options.cwd,
      env: options.env ?? process.env,
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
      maxBuffer: 64 << 20,
    },
    (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else
        reject(
          new Error(`${command} ${args.join(" ")}: ${stderr || stdout || error.message}`, { cause: error }),
        );
    },
  );
  return promise;
}

/** Waits until `ready` answers true; gives up when the time is over or a child has ended, and shows its output. */
export async function until(
  ready: () => Promise<boolean> | boolean,
  what: string,
  children: readonly Child[] = [],
  timeoutMs = 60_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (let pause = 5; !(await ready()); pause = Math.min(pause * 1.5, 100)) {
    const ended = children.find((child) => !child.running());
    if (ended !== undefined) throw new Error(`${what}: the program ended: ${ended.output()}`);
    if (performance.now() > end) {
      throw new Error(`${what}: not ready: ${children.map((child) => child.output()).join("\n")}`);
    }
    await sleep(pause);
  }
}

/** Whether something accepts connections on a loopback port or a unix socket. */
export function accepts(where: number | string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = typeof where === "string" ? connect(where) : connect(where, "127.0.0.1");
  socket.once("connect", () => {
    socket.destroy();
    resolve(true);
  });
  socket.once("error", () => resolve(false));
  return promise;
}

/** The directory that was given, or a new temporary one that `remove` deletes; a given one is left to its owner. */
export function workspace(name: string, given?: string): Workspace {
  if (given !== undefined) {
    mkdirSync(given, { recursive: true });
    return { path: given, remove: () => undefined };
  }
  const path = mkdtempSync(join(tmpdir(), `steno-${name}-`));
  temporary.add(path);
  return {
    path,
    remove() {
      rmSync(path, { recursive: true, force: true, maxRetries: 5 });
      temporary.delete(path);
    },
  };
}
