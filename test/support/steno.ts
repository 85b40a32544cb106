// A whole Steno node as an operator runs it: `steno serve` with a steno.toml, as a program of its own.
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { type Child, startChild, until, workspace } from "./servers/children.ts";

const ROOT = join(import.meta.dirname, "../..");
const CLI = join(ROOT, "scripts/steno.ts");

type Table = Record<string, unknown>;
export interface NodeOptions {
  readonly directory?: string;
  readonly issuer: string;
  readonly connections: readonly Table[];
  /** A directory archive beside the configuration unless given. */
  readonly archive?: Table;
  /** Ports that the system chooses unless given: the same addresses again after `crash`. */
  readonly listen?: { readonly agents: string; readonly console: string };
  readonly session?: Table;
  readonly serve?: Table;
  readonly evidence?: Table;
  readonly mask?: Table;
  readonly budgets?: readonly Table[];
  readonly approvals?: Table;
  readonly roles?: Table;
  /** Files of the policy set by name; the samples of the repository unless given. */
  readonly policies?: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  /** A command that runs the one it is given, `unshare …`: the world around the whole node. */
  readonly within?: readonly string[];
}

export interface Node {
  readonly directory: string;
  readonly config: string;
  readonly archive: string;
  gateway(): string;
  console(): string;
  output(): string;
  /** Runs `steno …` with this node's configuration; the exit code is part of the answer. */
  cli(...args: string[]): Promise<{ code: number; out: string; err: string }>;
  /** Id of `steno serve` itself, for signals. */
  pid(): number;
  /** Ids of the workerd processes of this node. */
  workerds(): number[];
  /** Ends the node at once, with everything it started, and starts it again on the same state. */
  crash(): Promise<void>;
  start(): Promise<void>;
  /** A clean stop, as by SIGTERM. */
  terminate(): Promise<void>;
  stop(): Promise<void>;
}

export async function startNode(options: NodeOptions): Promise<Node> {
  const home = workspace("node", options.directory);
  const directory = home.path;
  const archive = join(directory, "archive");
  const policies = join(directory, "policies");
  if (options.policies === undefined) cpSync(join(ROOT, "policies"), policies, { recursive: true });
  else {
    mkdirSync(policies, { recursive: true });
    for (const [name, text] of Object.entries(options.policies)) writeFileSync(join(policies, name), text);
  }
  const config = join(directory, "steno.toml");
  const toml = {
    listen: options.listen ?? { agents: "127.0.0.1:0", console: "127.0.0.1:0" },
    identity: { oidc: [{ issuer: options.issuer, audience: "steno", console_audience: "steno-console" }] },
    roles: {
      auditor: ["security"],
      approver: ["leads"],
      admin: ["platform"],
      privacy: ["leads"],
      ...options.roles,
    },
    archive: options.archive ?? { kind: "directory", path: archive },
    session: { ...options.session },
    serve: { state: join(directory, "state"), ...options.serve },
    policy: { dir: policies, poll_seconds: 1 },
    evidence: { origin: "seal-2026.gw.example", ...options.evidence },
    ...(options.mask && { mask: options.mask }),
    ...(options.budgets && { budgets: options.budgets }),
    ...(options.approvals && { approvals: options.approvals }),
    connections: options.connections,
  };
  writeFileSync(config, stringify(toml));
  let child: Child | undefined;
  const env = { ...process.env, ...options.env };
  const output = () => child?.output() ?? "";
  const url = (name: string) =>
    new RegExp(`^${name} (http://\\S+)$`, "m").exec(output().slice(mark))?.[1] ?? "";
  let mark = 0;
  const pid = (): number => {
    const found =
      child && members(child.pid).find((each) => /^\S+ \S+steno\.ts serve /.test(commandOf(each)));
    if (found === undefined) throw new Error("steno serve does not run");
    return found;
  };
  const node: Node = {
    directory,
    config,
    archive,
    output,
    gateway: () => url("gateway"),
    console: () => url("console"),
    async start() {
      const log = join(directory, "node.log");
      const [program = process.execPath, ...args] = [
        ...(options.within ?? []),
        process.execPath,
        ...[CLI, "serve", "--config", config],
      ];
      mark = child ? output().length : 0;
      child = startChild(program, args, { log, env, cwd: directory });
      await until(() => output().slice(mark).includes("\nready"), "steno serve", [child]);
    },
    async crash() {
      await child?.stop();
      await node.start();
    },
    async terminate() {
      process.kill(pid(), "SIGTERM");
      await until(() => child?.running() !== true, "steno serve to stop");
    },
    cli: (...args) => cli([...args], config, env),
    pid,
    workerds: () => (child ? members(child.pid).filter((pid) => /^\S*\/workerd /.test(commandOf(pid))) : []),
    async stop() {
      await child?.stop();
      home.remove();
    },
  };
  await node.start();
  return node;
}

/** Commands that ask a socket, or read what is given, and no steno.toml. */
const WITHOUT_CONFIG = new Set(
  "verify disclose session erase legal-hold approvals standing hook setup credential login token logout".split(
    " ",
  ),
);

/** `steno …` as a person runs it. */
export function cli(
  args: string[],
  config: string,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number; out: string; err: string }> {
  const withConfig = WITHOUT_CONFIG.has(args[0] ?? "") ? args : [...args, "--config", config];
  const { promise, resolve } = Promise.withResolvers<{ code: number; out: string; err: string }>();
  execFile(process.execPath, [CLI, ...withConfig], { env, maxBuffer: 64 << 20 }, (error, out, err) => {
    resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
  });
  return promise;
}

/** Every process of the session of `leader`: workerd runs in groups of its own. */
function members(leader: number): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
        // proc(5): state, parent, group, session.
        const [, , , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return Number(session) === leader || ancestors(pid).includes(leader);
      } catch {
        // It ended between the listing and the reading.
        return false;
      }
    });
}

function ancestors(pid: number): number[] {
  const found: number[] = [];
  for (let at = pid; at > 1; ) {
    const stat = readFileSync(`/proc/${at}/stat`, "latin1");
    at = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    found.push(at);
  }
  return found;
}

const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
  } catch {
    // It ended between the listing and the reading.
    return "";
  }
};
