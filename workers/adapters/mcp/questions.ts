/** What policy is asked about a message of MCP, in the terms of its schema. */
import type { Known } from "#durable/format/catalogue/definition.ts";
import type { Connection } from "#durable/format/connection.ts";
import type { McpOperation } from "#durable/format/operation.ts";
import type { ContextValue, Question, Resource } from "#workers/contract/evaluator.ts";
import { scalarsOf } from "#workers/wire/json/scalars.ts";
import type { Json, JsonObject } from "#workers/wire/json/strict.ts";
import { hintsOf } from "./catalogue/definition.ts";

/** `known`: what the pins say of a tool; nothing where nobody was ever shown it. */
export function questionsOf(
  { kind, method, name = "", version }: McpOperation,
  connection: Connection,
  params: JsonObject,
  size: number,
  known?: Known,
): readonly Question[] {
  const outer: Resource = { type: "Connection", id: connection.name, attrs: { kind: connection.kind } };
  const server: Resource = {
    type: "Server",
    id: connection.name,
    attrs: { name: connection.name },
    within: outer,
  };
  const id = `${connection.name}/${name}`;
  const all = { size, ...(version !== undefined && { version }) };
  const asked = (
    resource: Resource,
    context: Readonly<Record<string, ContextValue>> = {},
  ): readonly Question[] => [{ part: "", action: kind, resource, context: { ...all, ...context } }];
  const { scalars, all: complete } = scalarsOf(params["arguments"] ?? {});
  // Where not all of the arguments are told, what is not there proves nothing.
  const said = { arguments: scalars, ...(!complete && { inspected: false }) };
  switch (kind) {
    case "mcp.tools/call": {
      const tool: Resource = { type: "Tool", id, attrs: { name }, within: server };
      // What it said of itself when it was pinned: a new definition cannot make it harmless.
      const hints = known ? hintsOf(JSON.parse(known.pinned.text) as Json) : {};
      return asked(tool, { ...said, ...hints, changed: known?.shown !== undefined });
    }
    case "mcp.resources/read":
    case "mcp.resources/subscribe":
    case "mcp.resources/unsubscribe":
      return asked({ type: "Resource", id, attrs: { uri: name }, within: server });
    case "mcp.prompts/get": {
      const prompt: Resource = { type: "Prompt", id, attrs: { name }, within: server };
      return asked(prompt, said);
    }
    case "mcp.initialize":
    case "mcp.server/discover":
    case "mcp.ping":
    case "mcp.tools/list":
    case "mcp.resources/list":
    case "mcp.resources/templates/list":
    case "mcp.prompts/list":
      return asked(server);
    case "mcp.stream":
    case "mcp.end":
    case "mcp.completion/complete":
    case "mcp.logging/setLevel":
    case "mcp.tasks":
    case "mcp.notification":
    case "mcp.reply":
    case "mcp.other":
      return asked(server, { method });
  }
}
