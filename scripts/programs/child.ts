/** A program that speaks MCP over stdio: started with nothing but what it is given, and ended with all that it has started. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { linesOf } from "#scripts/mcp/lines.ts";
import { MESSAGE_MAX } from "#scripts/mcp/link.ts";
import { type Message, messageOf } from "#scripts/mcp/message.ts";
import type { Program } from "./program.ts";

export type Events = {
  readonly said: (message: Message) => void;
  /** Once, with what happened. */
  readonly ended: (why: string) => void;
  /** A line it wrote for people. */
  readonly told: (line: string) => void;
};

/**
 * The program leads a group of its own. Descriptor 3 is open for as long as this one lives: when it closes, also because this
 * one was killed, the whole group is.
 */
const SCRIPT = `(read -r _ <&3; kill -KILL -$$) </dev/null >/dev/null 2>&1 &
exec 3<&-
ulimit -c 0
[ -z "$STENO_MEMORY_KB" ] || ulimit -v "$STENO_MEMORY_KB" || exit 126
unset STENO_MEMORY_KB
exec "$@"`;

/** After its input has ended it may go by itself for so long. */
const GRACE_MS = 2_000;
const TOLD_MAX = 1_000;
const TOLD_LINES_MAX = 200;

export class Child {
  readonly #process: ChildProcess;
  readonly #events: Events;
  #over = false;
  #told = 0;

  constructor(program: Program, events: Events) {
    this.#events = events;
    const { command, directory, environment, memoryMb } = program;
    const { PATH = "/usr/local/bin:/usr/bin:/bin", HOME = directory, LANG = "C.UTF-8" } = process.env;
    const memory = memoryMb === undefined ? {} : { STENO_MEMORY_KB: String(memoryMb * 1024) };
    this.#process = spawn("/bin/sh", ["-c", SCRIPT, "steno-program", ...command], {
      cwd: directory,
      detached: true,
      env: { PATH, HOME, LANG, ...environment, ...memory },
      stdio: ["pipe", "pipe", "pipe", "pipe"],
    });
    const { stdin, stdout, stderr } = this.#process;
    stdin?.on("error", () => undefined);
    this.#process.on("error", (cause) => this.#end(`it cannot be started: ${cause.message}`));
    this.#process.on("exit", (code, signal) => this.#end(`it ended with ${signal ?? code}`));
    if (stdout)
      void this.#hear(stdout).catch((cause: unknown) => this.#end(`it cannot be read: ${String(cause)}`));
    if (stderr) void this.#listen(stderr).catch(() => undefined);
  }

  /** Resolves when it has taken the message. */
  say(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#over) reject(new Error("it has ended"));
      else this.#process.stdin?.write(`${line}\n`, (cause) => (cause ? reject(cause) : resolve()));
    });
  }

  /** Its input ends; what has not gone soon is killed, with all it has started. */
  stop(): void {
    this.#process.stdin?.end();
    if (!this.#over) setTimeout(() => this.#release(), GRACE_MS).unref();
  }

  kill(): void {
    this.#release();
  }

  async #hear(output: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const line of linesOf(output, MESSAGE_MAX)) {
      const message = line.kind === "line" ? messageOf(line.text) : undefined;
      if (message) this.#events.said(message);
      else if (line.kind === "too_long") {
        this.#end("it said a message longer than 16 MB");
        return;
      } else this.#events.told(`a line that is no message: ${line.text.slice(0, TOLD_MAX)}`);
    }
  }

  async #listen(errors: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const line of linesOf(errors, 64 * 1024)) {
      this.#told += 1;
      if (this.#told > TOLD_LINES_MAX) continue;
      const text = line.kind === "line" ? line.text.slice(0, TOLD_MAX) : "a line too long to be shown";
      this.#events.told(this.#told === TOLD_LINES_MAX ? "it says more than is shown" : text);
    }
  }

  #end(why: string): void {
    this.#release();
    if (this.#over) return;
    this.#over = true;
    this.#events.ended(why);
  }

  /** Whoever is left of its group goes with it. */
  #release(): void {
    (this.#process.stdio[3] as Socket | null)?.destroy();
  }
}
