/** The files that point Cursor, and the git of its terminal, at a gateway. */
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ROOT } from "#scripts/build.ts";
import type { Terminal } from "#scripts/cli/terminal.ts";
import { type Shim, shimPath } from "#scripts/hook/hook.ts";
import { keptGateway, keptPath, keptToken } from "#scripts/token/kept.ts";
import type { Reachable } from "./connections.ts";
import {
  hookEntries,
  type McpWay,
  mcpServers,
  SHIM_FILES,
  sandboxAccess,
  shimCommand,
} from "./cursor-files.ts";
import { gitLines } from "./git-lines.ts";
import type { Part } from "./plan.ts";

export type Asked = {
  /** Absolute. */
  readonly root: string;
  /** A project's: others have it too, by way of its repository. */
  readonly shared: boolean;
  readonly gateway: string;
  readonly connections: readonly Reachable[];
  readonly mcp: McpWay;
  readonly shim: Shim;
  readonly ssh: boolean;
  /** Hook events that are asked about. */
  readonly events: readonly string[];
  readonly env: Terminal["env"];
};

/** How this very program is called, from anywhere. */
const STENO = [process.execPath, join(ROOT, "scripts/steno.mjs")];

export function partsOf(asked: Asked): {
  readonly parts: readonly Part[];
  readonly notes: readonly string[];
} {
  const { root, shared, gateway, connections, mcp, shim, ssh, env } = asked;
  const parts: Part[] = [];
  const notes: string[] = [];
  const inCursor = (name: string): string => join(root, ".cursor", name);
  const of = (kind: Reachable["kind"]) => connections.filter((each) => each.kind === kind);
  const hooks = of("hooks").some(({ name }) => name === "cursor");
  const servers = of("mcp");
  const remotes = of("git").filter(({ upstream }) => upstream !== undefined);

  if (hooks) {
    const text = readFileSync(shimPath(shim), "utf8");
    parts.push({ kind: "own", path: inCursor(SHIM_FILES[shim]), mode: 0o755, text });
  } else
    notes.push(
      "the gateway has no connection cursor of kind hooks: Cursor asks nobody before it runs a command",
    );
  if (!shared) parts.push({ kind: "own", path: keptPath(env, "gateway"), mode: 0o600, text: `${gateway}\n` });
  else if (keptGateway(env)?.replace(/\/+$/, "") !== gateway)
    notes.push(`on each machine hooks find the gateway in STENO_GATEWAY or ${keptPath(env, "gateway")}`);
  if (servers.length > 0) {
    const wanted = (at: Parameters<typeof mcpServers>[0]) =>
      mcpServers(at, servers, { way: mcp, gateway, steno: STENO });
    parts.push({ kind: "json", path: inCursor("mcp.json"), mode: 0o644, wanted });
    if (mcp === "token")
      notes.push(
        "mcp.json has STENO_TOKEN from Cursor's environment: start Cursor where it is set, or have --mcp stdio, which takes the token that is kept",
      );
    if (mcp === "stdio" && shared) notes.push("mcp.json names paths of this machine: others need their own");
  }
  parts.push({
    kind: "json",
    path: inCursor("sandbox.json"),
    mode: 0o644,
    wanted: (at) => sandboxAccess(at, gateway),
  });
  const git = shared ? projectConfig(root, env) : globalConfig(env, root);
  if (remotes.length > 0 && git !== undefined)
    parts.push({
      kind: "lines",
      path: git,
      mode: 0o644,
      text: gitLines(remotes, { gateway, steno: STENO, ssh }),
    });
  else if (remotes.length > 0)
    notes.push(`${root} is no repository of git: its remotes are not led to the gateway`);
  if (hooks) {
    const file = shared ? join(".cursor", SHIM_FILES[shim]) : inCursor(SHIM_FILES[shim]);
    if (lstatSync(inCursor("hooks.json"), { throwIfNoEntry: false })?.isSymbolicLink())
      notes.push(`${inCursor("hooks.json")} is a link: Cursor's own program does not read it`);
    // Last: it calls what was written before.
    parts.push({
      kind: "json",
      path: inCursor("hooks.json"),
      mode: 0o644,
      wanted: (at) => hookEntries(at, asked.events, (event) => shimCommand(shim, file, event)),
    });
  }
  if (env["STENO_TOKEN"] === undefined && keptToken(env, "token") === undefined)
    notes.push("there is no token yet: STENO_TOKEN in Cursor's environment, or steno token keep");
  return { parts, notes };
}

/** Where `git config --global` writes. */
function globalConfig(env: Terminal["env"], home: string): string {
  const named = env["GIT_CONFIG_GLOBAL"];
  if (named) return resolve(named);
  const own = join(home, ".gitconfig");
  const other = join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "git", "config");
  return !existsSync(own) && existsSync(other) ? other : own;
}

/** Where `git config --local` writes; undefined where there is no repository, or no git. */
function projectConfig(root: string, env: Terminal["env"]): string | undefined {
  const ran = spawnSync("git", ["-C", root, "rev-parse", "--git-path", "config"], { encoding: "utf8", env });
  return ran.status === 0 ? resolve(root, ran.stdout.trim()) : undefined;
}
