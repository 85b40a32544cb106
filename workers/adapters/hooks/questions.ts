/** What policy is asked about a hook's event, in the terms of its schema; and what its operation says. */
import type { Connection } from "#durable/format/connection.ts";
import type { Claim } from "#durable/format/join/claim.ts";
import type { HookOperation } from "#durable/format/operation.ts";
import {
  type ContextValue,
  PATHS_MAX,
  type Question,
  type Resource,
} from "#durable/format/question/question.ts";
import type { About, HookEvent, McpServer } from "./event.ts";
import { isWindows, pathOf } from "./path.ts";
import { readCommand } from "./shell/command.ts";

const ABOUT_MAX = 500;

type Context = Record<string, ContextValue>;
type Asked = {
  readonly resource: Resource;
  readonly context: Context;
  readonly about?: string;
  readonly claims?: Claim;
};

export function questionOf(
  told: HookEvent,
  { name, kind }: Connection,
): { readonly question: Question; readonly operation: HookOperation; readonly claims?: Claim } {
  const { event, about, frame } = told;
  const connection: Resource = { type: "Connection", id: name, attrs: { kind } };
  const { resource, context, about: subject, claims } = asked(told, connection);
  const operation: HookOperation = {
    kind: about.action,
    event,
    ...(subject !== undefined && { about: subject.slice(0, ABOUT_MAX) }),
  };
  const model = frame.model === undefined ? {} : { model: frame.model };
  return {
    question: { part: "", action: about.action, resource, context: { ...context, ...model } },
    operation,
    ...(claims && { claims }),
  };
}

function asked({ about, place }: HookEvent, connection: Resource): Asked {
  switch (about.action) {
    case "shell.exec":
      return shell(about, place, connection);
    case "file.read":
    case "file.write":
    case "file.delete":
    case "file.edited": {
      const { path, tool, size } = about;
      const resource = below(connection, "Path", path);
      return { resource, context: { tool, paths: [path], ...(size !== undefined && { size }) }, about: path };
    }
    case "mcp.call":
    case "tool.use": {
      const server = about.action === "mcp.call" ? about.server : undefined;
      const { scalars, all } = about.input;
      const context = { arguments: scalars, ...(!all && { inspected: false }) };
      const claims =
        about.action === "mcp.call" ? ({ of: "mcp.tools/call", input: about.digest } as const) : undefined;
      const resource = toolOf(connection, server, about.tool);
      return { resource, context, about: about.tool, ...(claims && { claims }) };
    }
    case "mcp.result":
    case "tool.result": {
      const server = about.action === "mcp.result" ? about.server : undefined;
      return { resource: toolOf(connection, server, about.tool), context: {}, about: about.tool };
    }
    case "web.fetch":
      return {
        resource: below(connection, "Host", about.host),
        context: { url: about.url },
        about: about.host,
      };
    case "agent.start":
      return { resource: connection, context: { type: about.type }, about: about.type };
    case "prompt.submit": {
      const { attachments, size } = about;
      const paths = attachments.slice(0, PATHS_MAX);
      return { resource: connection, context: { attachments: attachments.length, paths, size } };
    }
    case "session.start":
    case "session.end":
    case "shell.result":
    case "agent.response":
    case "agent.thought":
    case "agent.stop":
    case "agent.compact":
      return { resource: connection, context: {} };
  }
}

/** The shell of a Windows machine is not Bash, so nothing is known of its commands but their letters. */
function shell(
  { command, cwd, sandbox }: Extract<About, { readonly action: "shell.exec" }>,
  place: HookEvent["place"],
  resource: Resource,
): Asked {
  const line = readCommand(command);
  const at = { base: cwd, roots: place.roots };
  const parsed = line.parsed && !isWindows(at);
  const inWorkspace = (paths: readonly string[]) => [...new Set(paths.map((path) => pathOf(path, at)))];
  const context: Context = {
    command,
    cwd,
    parsed,
    programs: line.programs,
    words: line.words,
    writes: inWorkspace(line.writes),
    hosts: line.hosts,
    paths: inWorkspace(line.paths),
    ...(!parsed && { inspected: false }),
    ...(sandbox !== undefined && { sandbox }),
  };
  const claims = line.pushes > 0 ? ({ of: "git.push", count: line.pushes } as const) : undefined;
  return { resource, context, about: line.programs.join(" "), ...(claims && { claims }) };
}

function toolOf(connection: Resource, server: McpServer | undefined, tool: string): Resource {
  if (!server) return below(connection, "Tool", tool);
  return below({ ...below(connection, "Server", server.name), attrs: { ...server } }, "Tool", tool);
}

const below = (within: Resource, type: "Path" | "Tool" | "Server" | "Host", name: string): Resource => ({
  type,
  id: `${within.id}/${name}`,
  attrs: { name },
  within,
});
