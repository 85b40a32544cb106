/** What an agent's tool is about to do, or did, as actions of policy: by its name and input. */
import { Refusal } from "#durable/format/refusal.ts";
import { inputDigest } from "#workers/wire/json/input-digest.ts";
import { scalarsOf } from "#workers/wire/json/scalars.ts";
import { isObject, type Json, type JsonObject, objectsOf, textOf } from "#workers/wire/json/strict.ts";
import type { About, McpServer, Place } from "../event.ts";
import { pathOf } from "../path.ts";
import { bytesOf } from "./decode.ts";

const SHELLS: ReadonlySet<string> = new Set(["Shell", "Bash"]);
const READERS: ReadonlySet<string> = new Set(["Read", "NotebookRead"]);
/** They read what lies below a folder: that of the workspace unless they say another. */
const SEARCHERS: ReadonlySet<string> = new Set(["Grep", "Glob", "LS"]);
const WRITERS: ReadonlySet<string> = new Set(["Write", "Edit", "MultiEdit", "NotebookEdit", "StrReplace"]);
const STARTERS: ReadonlySet<string> = new Set(["Task", "Agent"]);
const PATHS = ["file_path", "path", "target_file", "notebook_path", "filePath"] as const;
/** `MCP:<tool>` (Cursor), `mcp__<server>__<tool>` (Claude Code). */
const MCP = /^MCP:(?<tool>.+)$|^mcp__(?<server>.+?)__(?<named>.+)$/s;

/** Before it runs. A tool that is known, with an input that is not, is refused: it must not pass as something else. */
export function aboutUse(tool: string, input: Json, place: Place): About {
  const given = isObject(input) ? input : {};
  if (SHELLS.has(tool)) {
    const command = textOf(given["command"]);
    if (command === undefined) throw lacks(tool, "command");
    return { action: "shell.exec", command, cwd: cwdOf(given) ?? place.base };
  }
  if (READERS.has(tool)) return { action: "file.read", path: pathOf(named(tool, given), place), tool };
  if (SEARCHERS.has(tool))
    return { action: "file.read", path: pathOf(pathIn(given) ?? place.base, place), tool };
  if (WRITERS.has(tool))
    return { action: "file.write", path: pathOf(named(tool, given), place), tool, size: writtenBy(given) };
  if (tool === "Delete") return { action: "file.delete", path: pathOf(named(tool, given), place), tool };
  if (STARTERS.has(tool)) return { action: "agent.start", type: textOf(given["subagent_type"]) ?? "" };
  if (tool === "WebFetch") return aboutFetch(textOf(given["url"]) ?? "");
  const mcp = mcpOf(tool);
  if (mcp)
    return { action: "mcp.call", ...mcp, input: scalarsOf(input), digest: inputDigest(mcp.tool, input) };
  return { action: "tool.use", tool, input: scalarsOf(input) };
}

/** After it ran. */
export function aboutResult(tool: string, input: Json, place: Place): About {
  const given = isObject(input) ? input : {};
  if (SHELLS.has(tool)) return { action: "shell.result" };
  const path = pathIn(given);
  if (WRITERS.has(tool) && path !== undefined)
    return { action: "file.edited", path: pathOf(path, place), tool, size: writtenBy(given) };
  const mcp = mcpOf(tool);
  return mcp ? { action: "mcp.result", ...mcp } : { action: "tool.result", tool };
}

function mcpOf(tool: string): { readonly tool: string; readonly server?: McpServer } | undefined {
  const parts = MCP.exec(tool)?.groups;
  if (!parts) return undefined;
  const { server, tool: bare, named: own } = parts;
  return { tool: bare ?? own ?? "", ...(server !== undefined && { server: { name: server } }) };
}

function aboutFetch(url: string): About {
  if (!URL.canParse(url)) throw lacks("WebFetch", "URL");
  return { action: "web.fetch", url, host: new URL(url).hostname };
}

const cwdOf = (given: JsonObject): string | undefined =>
  textOf(given["cwd"]) ?? textOf(given["working_directory"]);

const pathIn = (given: JsonObject): string | undefined =>
  PATHS.map((name) => textOf(given[name])).find((path) => path !== undefined && path !== "");

function named(tool: string, given: JsonObject): string {
  const path = pathIn(given);
  if (path === undefined) throw lacks(tool, "path");
  return path;
}

/** Bytes of what is to be written, of edits those that come in. */
function writtenBy(given: JsonObject): number {
  const texts = [given, ...objectsOf(given["edits"])].flatMap((one) =>
    ["content", "contents", "new_string", "new_source"].map((name) => textOf(one[name]) ?? ""),
  );
  return texts.reduce((sum, one) => sum + bytesOf(one), 0);
}

const lacks = (tool: string, what: string): Refusal =>
  new Refusal("malformed", `the input of ${tool} has no ${what} that is known here`);
