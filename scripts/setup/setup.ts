/** `steno setup cursor`: points Cursor, and the git of its terminal, at a gateway; or takes that back. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { baseOf, target } from "#scripts/cli/client.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { loadOrReport } from "#scripts/cli/report.ts";
import { oneLine, TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { nearest } from "#scripts/config/nearest.ts";
import { showAddress } from "#scripts/config/values.ts";
import { isShim, type Shim } from "#scripts/hook/hook.ts";
import { applySetup } from "./apply.ts";
import { connectionsAt, connectionsIn } from "./connections.ts";
import { EVENTS, MCP_WAYS, type McpWay } from "./cursor-files.ts";
import { type Disk, NODE_DISK } from "./disk.ts";
import { readByGit, waysAround } from "./git-lines.ts";
import { type Asked, partsOf } from "./parts.ts";
import { type Part, type Planned, planSetup } from "./plan.ts";

const FLAGS = {
  project: "text",
  gateway: "text",
  config: "text",
  mcp: "text",
  shim: "text",
  ssh: "flag",
  without: "texts",
  remove: "flag",
  print: "flag",
  json: "flag",
} as const;

export async function setup(
  args: string[],
  terminal: Terminal = TERMINAL,
  disk: Disk = NODE_DISK,
): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 1);
  if (rest[0] !== "cursor") throw new UsageFault("say setup cursor: there is no other agent that it knows");
  const { project, remove, print, json } = values;
  if (remove === true && (print === true || values.mcp !== undefined || values.shim !== undefined))
    throw new UsageFault("--remove takes out what was put in, and needs no more than --project");
  const root = project === undefined ? homeOf(terminal.env) : resolve(project);
  if (!existsSync(root)) throw new Error(`there is no directory ${root}`);
  if (remove === true) return finish(planSetup(root, [], "", disk), [], disk, terminal, json);

  const asked: Asked = {
    root,
    shared: project !== undefined,
    ...(await reached(values, terminal)),
    mcp: wayOf(values.mcp),
    shim: shimOf(values.shim),
    ssh: values.ssh === true,
    events: eventsBut(values.without ?? []),
    env: terminal.env,
  };
  const { parts, notes } = partsOf(asked);
  if (print === true) {
    const empty = planSetup(root, parts, asked.gateway, { ...disk, read: () => undefined });
    return show(empty, notes, terminal, json);
  }
  const { planned, around } = checkedByGit(planSetup(root, parts, asked.gateway, disk), parts, asked);
  return finish(planned, [...notes, ...around], disk, terminal, json);
}

const homeOf = (env: Terminal["env"]): string => env["HOME"] || homedir();

function wayOf(text: string | undefined): McpWay {
  const way = MCP_WAYS.find((each) => each === (text ?? "token"));
  if (way === undefined) throw new UsageFault(`--mcp is one of ${MCP_WAYS.join(", ")}`);
  return way;
}

/** For a Cursor that does not know them: it would reject the whole file. */
function eventsBut(without: readonly string[]): readonly string[] {
  const strange = without.find((event) => !EVENTS.includes(event));
  if (strange !== undefined) {
    const near = nearest(strange, EVENTS);
    throw new UsageFault(
      `--without ${strange}: no such event${near === undefined ? "" : `, did you mean ${near}?`}`,
    );
  }
  return EVENTS.filter((event) => !without.includes(event));
}

function shimOf(text: string | undefined): Shim {
  const shim = text ?? (process.platform === "win32" ? "node" : "sh");
  if (!isShim(shim)) throw new UsageFault("--shim is sh or node");
  return shim;
}

type Given = { readonly gateway?: string; readonly config?: string };

/** The gateway without a trailing slash, and what is there. */
async function reached(
  { gateway: flag, config }: Given,
  { env }: Terminal,
): Promise<Pick<Asked, "gateway" | "connections">> {
  if (config === undefined) {
    const to = target("agents", flag, env);
    return { gateway: plainUrl(to.base), connections: await connectionsAt(to) };
  }
  const settings = loadOrReport(config);
  if (settings === undefined) throw new Error(`${config} has errors`);
  const { agents } = settings.listen;
  if (flag === undefined && agents.port === 0)
    throw new UsageFault("the configuration has the system choose the port: give --gateway URL");
  const base = baseOf("agents", flag ?? `http://${showAddress(agents)}`, env);
  return { gateway: plainUrl(base), connections: connectionsIn(settings) };
}

function plainUrl({ origin, pathname, search, hash, username, password }: URL): string {
  if (`${search}${hash}${username}${password}` !== "")
    throw new Error("the gateway's URL has no user, password, query or fragment");
  return origin + pathname.replace(/\/+$/, "");
}

/** Git reads its configuration for every command: what it cannot read would stop all of them. */
function checkedByGit(
  planned: Planned,
  parts: readonly Part[],
  { connections, gateway }: Asked,
): { readonly planned: Planned; readonly around: readonly string[] } {
  const path = parts.find(({ kind }) => kind === "lines")?.path;
  const text = "no" in planned ? undefined : planned.changes.find((change) => change.path === path)?.after;
  const known = text === undefined ? undefined : readByGit(text);
  if (typeof known === "string") return { planned: { no: [`${path} stays as it is: ${known}`] }, around: [] };
  return { planned, around: known ? waysAround(known, connections, gateway) : [] };
}

function finish(
  planned: Planned,
  notes: readonly string[],
  disk: Disk,
  terminal: Terminal,
  json = false,
): number {
  if ("no" in planned) return refused(planned.no, terminal);
  const files = applySetup(planned, disk);
  if (json) terminal.out(JSON.stringify({ files, notes }));
  else {
    for (const { path, state } of files) terminal.out(oneLine(`${state} ${path}`));
    if (files.length === 0) terminal.out("there was nothing of ours");
    for (const note of notes) terminal.err(oneLine(`note: ${note}`));
  }
  return 0;
}

function show(planned: Planned, notes: readonly string[], terminal: Terminal, json = false): number {
  if ("no" in planned) return refused(planned.no, terminal);
  const files = planned.changes.flatMap(({ path, mode, after }) =>
    after === undefined ? [] : [{ path, mode: mode.toString(8), text: after }],
  );
  if (json) terminal.out(JSON.stringify({ files, notes }));
  else {
    for (const { path, text } of files) terminal.out(`# ${oneLine(path)}\n${text}`);
    for (const note of notes) terminal.err(oneLine(`note: ${note}`));
  }
  return 0;
}

/** Nothing was written. */
function refused(no: readonly string[], terminal: Terminal): number {
  for (const text of no) terminal.err(oneLine(`error: ${text}`));
  return 1;
}
