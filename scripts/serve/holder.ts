/** One workerd under its holder (`hold.sh`), seen from the supervisor. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";

export type Start = {
  /** `single`, `recorder`, `front-0`, … */
  readonly name: string;
  /** The program and its arguments up to the sockets; run in `directory`. */
  readonly command: readonly string[];
  readonly directory: string;
  /** Sockets by workerd's name for them. */
  readonly sockets: readonly { readonly name: string; readonly fd: number }[];
  /** A file of which only one holder at a time may be in possession. */
  readonly lock?: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Seconds between SIGTERM and SIGKILL. */
  readonly grace: number;
};

export type Holder = {
  readonly name: string;
  readonly pid: number;
  /** Resolves when workerd listens on every socket. */
  listening(): Promise<void>;
  /** Stops workerd gracefully; its sockets stay open, and connections wait. */
  pause(): Promise<void>;
  /** Starts it again with what its directory now holds. */
  resume(environment: Readonly<Record<string, string>>): void;
  /** Resolves when neither the holder nor workerd is left. */
  stop(): Promise<void>;
  /** Resolves, with what happened, when the holder ended although nobody stopped it. */
  readonly lost: Promise<string>;
};

const FIRST_SOCKET = 6;

/** The sockets may be released as soon as this returns. */
export function hold(start: Start): Holder {
  const sockets = start.sockets.map(({ name }, i) => `--socket-fd=${name}=${FIRST_SOCKET + i}`);
  const script = join(import.meta.dirname, "hold.sh");
  const args = [
    script,
    String(start.grace),
    start.lock ?? "",
    ...start.command,
    ...sockets,
    "--control-fd=5",
  ];
  const child = spawn("/bin/sh", args, {
    cwd: start.directory,
    // A session of its own: a Ctrl-C meant for us must not end workerd before it has finished what it does.
    detached: true,
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
    stdio: ["pipe", "inherit", "inherit", "pipe", "ignore", "pipe", ...start.sockets.map(({ fd }) => fd)],
  });
  // Its group is signalled later: -0 would be our own, and -1 everybody.
  if (child.pid === undefined || child.pid <= 1)
    throw new Error(`cannot start ${start.name}: /bin/sh does not run`);
  return new Held(start, child, child.pid);
}

class Held implements Holder {
  readonly name: string;
  readonly pid: number;
  readonly lost: Promise<string>;
  readonly #child: ChildProcess;
  readonly #wanted: number;
  readonly #exit: Promise<unknown>;
  #stopping = false;
  #heard = 0;
  #listening = Promise.withResolvers<void>();
  #halted = Promise.withResolvers<void>();

  constructor(start: Start, child: ChildProcess, pid: number) {
    this.name = start.name;
    this.pid = pid;
    this.#child = child;
    this.#wanted = start.sockets.length;
    this.#exit = once(child, "exit");
    this.lost = this.#exit.then((status) => this.#ended(status as [number | null, string | null]));
    // The pipe breaks when the holder ends first; `lost` says so.
    child.stdin?.on("error", () => undefined);
    const control = (child.stdio as readonly unknown[])[5] as Duplex;
    createInterface(control).on("line", (line) => this.#hear(line));
    this.#send(start.environment);
  }

  listening(): Promise<void> {
    return this.#listening.promise;
  }

  async pause(): Promise<void> {
    this.#heard = 0;
    this.#listening = Promise.withResolvers();
    this.#halted = Promise.withResolvers();
    this.#child.kill("SIGHUP");
    await this.#halted.promise;
  }

  resume(environment: Readonly<Record<string, string>>): void {
    this.#send(environment);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.kill("SIGTERM");
    await this.#exit;
  }

  #send(environment: Readonly<Record<string, string>>): void {
    const lines = Object.entries(environment).map(([name, value]) => `set ${name}=${value}\n`);
    this.#child.stdin?.write(`${lines.join("")}go\n`);
  }

  #hear(line: string): void {
    if (line === "halted") this.#halted.resolve();
    if (line.includes('"listen"')) this.#heard += 1;
    if (this.#heard >= this.#wanted) this.#listening.resolve();
  }

  #ended([code, signal]: [number | null, string | null]): Promise<string> {
    // A holder that was killed leaves its workerd and its watcher behind: they are in its group.
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch {
      // Nobody is left in the group: what we want.
    }
    if (this.#stopping) return new Promise<string>(() => undefined);
    return Promise.resolve(code === 75 ? "another recorder holds its state" : `ended with ${signal ?? code}`);
  }
}
