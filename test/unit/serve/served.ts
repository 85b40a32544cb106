/** Starts `steno serve` as a program in a directory of its own, and finds what it has started. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "#scripts/build.ts";

/** Everything of one test file: the bundle, a state directory a node, the programs that still run. */
export class Bench {
  readonly root = mkdtempSync(join(tmpdir(), "steno-serve-"));
  readonly #running: Served[] = [];

  async bundle(): Promise<void> {
    await build(join(import.meta.dirname, "fixture.js"), join(this.root, "dist"));
  }

  /** `text` is added to a configuration with ports of the kernel's choice. */
  node(name: string, text = ""): Served {
    const served = new Served(join(this.root, name), join(this.root, "dist"), text);
    this.#running.push(served);
    return served;
  }

  async clear(): Promise<void> {
    for (const served of this.#running) await served.kill();
    rmSync(this.root, { recursive: true, force: true });
  }
}

export class Served {
  readonly directory: string;
  readonly #dist: string;
  #child: ChildProcess | undefined;
  #exit: Promise<unknown> = Promise.resolve();
  out = "";

  constructor(directory: string, dist: string, text: string) {
    this.directory = directory;
    this.#dist = dist;
    mkdirSync(join(directory, "policies"), { recursive: true });
    writeFileSync(join(directory, "policies/none.cedar"), "forbid (principal, action, resource);\n");
    this.configure(text);
  }

  configure(text: string): void {
    const listen = '[listen]\nagents = "127.0.0.1:0"\nconsole = "127.0.0.1:0"\n';
    writeFileSync(join(this.directory, "steno.toml"), listen + text);
  }

  /** Resolves when it says it is ready, or with its exit code when it ends first. */
  async start(environment: Record<string, string> = {}): Promise<number | "ready"> {
    this.out = "";
    const program = join(import.meta.dirname, "serve-fixture.ts");
    const env = { PATH: process.env["PATH"] ?? "", ...environment };
    const child = spawn(process.execPath, [program, this.#dist], { cwd: this.directory, env });
    this.#child = child;
    this.#exit = once(child, "exit");
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.out += text;
      });
    }
    const ended = this.#exit.then(() => child.exitCode ?? 128);
    return Promise.race([ended, this.says("ready\n").then(() => "ready" as const)]);
  }

  /** Resolves when it has said `text` at least `times` times since it started. */
  async says(text: string, times = 1): Promise<void> {
    await until(() => this.out.split(text).length > times);
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error("it was not started");
    return this.#child.pid;
  }

  url(what: "gateway" | "console"): string {
    return new RegExp(`^${what} (\\S+)$`, "m").exec(this.out)?.[1] ?? "";
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async exited(): Promise<number | null> {
    await this.#exit;
    return this.#child?.exitCode ?? null;
  }

  /** Pids of running workerds whose configuration is this node's, by instance. */
  workerds(): Map<string, number> {
    const found = new Map<string, number>();
    for (const [pid, command] of commands()) {
      const name = new RegExp(`${this.directory}/\\S*/([a-z0-9-]+)\\.capnp`).exec(command)?.[1];
      if (name !== undefined && command.includes("/bin/workerd") && !command.includes("hold.sh"))
        found.set(name, pid);
    }
    return found;
  }

  /** Everything that runs for this node. */
  alive(): number[] {
    return [...commands()].filter(([, command]) => command.includes(this.directory)).map(([pid]) => pid);
  }

  holder(): number {
    const found = [...commands()].find(
      ([, text]) => text.includes("hold.sh") && text.includes(this.directory),
    );
    if (found === undefined) throw new Error(`no holder runs for ${this.directory}`);
    return found[0];
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#exit;
    await until(() => this.alive().length === 0);
  }
}

/** SIGKILL to one process. Never to a group, to everybody (-1), or to init, whatever a search came up with. */
export function killHard(pid: number): void {
  if (!Number.isSafeInteger(pid) || pid <= 1) throw new Error(`${pid} is not one process`);
  process.kill(pid, "SIGKILL");
}

function* commands(): Generator<[number, string]> {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      yield [Number(name), readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ")];
    } catch {
      // It ended while we looked.
    }
  }
}

export async function until(holds: () => boolean, ms = 20_000): Promise<void> {
  const end = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`still not so after ${ms} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
