/** What Cursor's files are to say: docs of Cursor on MCP, hooks and the sandbox; one part a file. */
import { isIP } from "node:net";
import type { Node } from "jsonc-parser";
import type { Shim } from "#scripts/hook/hook.ts";
import type { Reachable } from "./connections.ts";
import { shellWord } from "./git-lines.ts";
import { elementName } from "./record.ts";
import { type Addition, type Json, nodeAt } from "./text/json-text.ts";

/** How MCP servers are reached: with the token of the environment, by signing in, or by a program of ours that has the kept token. */
export const MCP_WAYS = ["token", "oauth", "stdio"] as const;
export type McpWay = (typeof MCP_WAYS)[number];

/** Cursor's events. A file with one that Cursor does not know is rejected whole, so a new one comes with its version. */
export const EVENTS: readonly string[] = [
  ...["sessionStart", "sessionEnd", "beforeSubmitPrompt", "preToolUse", "postToolUse", "postToolUseFailure"],
  ...["beforeShellExecution", "afterShellExecution", "beforeMCPExecution", "afterMCPExecution"],
  ...["beforeReadFile", "afterFileEdit", "subagentStart", "subagentStop", "preCompact", "afterAgentResponse"],
  ...["afterAgentThought", "stop", "beforeTabFileRead", "afterTabFileEdit", "workspaceOpen"],
];

/** Seconds: longer than the shim waits, 540 for approvals and 30 for the last answer. */
const HOOK_TIMEOUT = 600;

export const SHIM_FILES = { sh: "hooks/steno-hook.sh", node: "hooks/steno-hook.mjs" } as const;

/** Additions to a file that has `root` in it now; or what is in the way. */
export type Wanted = readonly Addition[] | { readonly no: string };

export type McpOptions = {
  readonly way: McpWay;
  /** With no trailing slash. */
  readonly gateway: string;
  /** Words of the command that is `steno` on this machine. */
  readonly steno: readonly string[];
};

export function mcpServers(root: Node, servers: readonly Reachable[], options: McpOptions): Wanted {
  const taken = servers.find(({ name }) => nodeAt(root, ["mcpServers", name]));
  if (taken)
    return {
      no: `has a server ${JSON.stringify(taken.name)} that is not ours: remove it or give it another name, since with it there is a way past the gateway`,
    };
  return servers.map(({ name }) => ({ at: ["mcpServers"], key: name, value: serverOf(name, options) }));
}

function serverOf(name: string, { way, gateway, steno }: McpOptions): Json {
  switch (way) {
    case "token":
      // A path of its own: Cursor leaves out headers where a server offers sign-in.
      return {
        url: `${gateway}/mcp-token/${name}`,
        headers: { Authorization: `Bearer \${env:STENO_TOKEN}` },
      };
    case "oauth":
      return { url: `${gateway}/mcp/${name}` };
    case "stdio": {
      const [command = "steno", ...args] = steno;
      return { type: "stdio", command, args: [...args, "mcp", name, "--gateway", gateway] };
    }
  }
}

/** One entry an event, the first: of several, versions of Cursor have run the first alone. */
export function hookEntries(
  root: Node,
  events: readonly string[],
  commandOf: (event: string) => string,
): Wanted {
  const version = nodeAt(root, ["version"])?.value as Json | undefined;
  if (version !== undefined && version !== 1)
    return { no: `says version ${JSON.stringify(version)}: only 1 is known here` };
  const already = nodeAt(root, ["hooks"])?.children?.flatMap((event) => event.children?.[1]?.children ?? []);
  if (already?.some((entry) => /\bsteno-hook\.(?:sh|mjs)\b/.test(elementName(asJson(entry)) ?? "")))
    return { no: "runs steno-hook already, and nobody knows who put that there: remove those entries" };
  const entries = events.map(
    (event): Addition => ({
      at: ["hooks", event],
      value: { command: commandOf(event), timeout: HOOK_TIMEOUT, failClosed: true },
    }),
  );
  return version === undefined ? [{ at: [], key: "version", value: 1 }, ...entries] : entries;
}

const asJson = (node: Node): Json =>
  Object.fromEntries(
    (node.children ?? []).map(({ children }) => [
      children?.[0]?.value as string,
      children?.[1]?.value as Json,
    ]),
  );

/** How an agent's shell calls the shim. No URL may stand in it: Cursor's own program takes `//` for a comment. */
export function shimCommand(shim: Shim, path: string, event: string): string {
  const word = process.platform === "win32" ? `"${path}"` : shellWord(path);
  return `${shim === "node" ? "node " : ""}${word} cursor ${event}`;
}

/** The sandbox of commands keeps private addresses closed unless they are allowed. */
export function sandboxAccess(root: Node, gateway: string): Wanted {
  const host = new URL(gateway).hostname.replace(/^\[(.*)\]$/, "$1");
  const version = isIP(host);
  const entry = version === 0 ? host : `${host}/${version === 4 ? 32 : 128}`;
  const listed = (name: "allow" | "deny"): boolean =>
    nodeAt(root, ["networkPolicy", name])?.children?.some(
      ({ value }) => value === entry || value === host,
    ) === true;
  if (listed("deny")) return { no: `denies ${entry}, which counts more than to allow it: take that out` };
  if (listed("allow")) return [];
  // A list of what is allowed means that the rest is not.
  const closed: Addition = { at: ["networkPolicy"], key: "default", value: "deny" };
  const open: Addition = { at: ["networkPolicy", "allow"], value: entry };
  return nodeAt(root, ["networkPolicy", "default"]) ? [open] : [closed, open];
}
