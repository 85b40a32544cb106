/** Cursor's hook events, as its documentation has them. Every event says what it must; more may be there. */
import * as v from "valibot";
import { inputDigest } from "#workers/wire/json/input-digest.ts";
import { scalarsOf } from "#workers/wire/json/scalars.ts";
import { type Json, type JsonObject, parseJson } from "#workers/wire/json/strict.ts";
import type { About, HookEvent, McpServer, Place } from "../event.ts";
import { pathOf } from "../path.ts";
import { bytesOf, decode, maybe, sizesOf, text, wordsOf } from "./decode.ts";
import { aboutResult, aboutUse } from "./tool.ts";

const Common = v.looseObject({
  conversation_id: maybe(text),
  session_id: maybe(text),
  generation_id: maybe(text),
  model: maybe(text),
  cursor_version: maybe(text),
  workspace_roots: maybe(v.array(text)),
  cwd: maybe(text),
});
/** `v.unknown` takes any JSON; it was parsed before. */
const json = v.unknown();
const Tool = v.looseObject({
  tool_name: text,
  tool_input: json,
  tool_use_id: maybe(text),
  tool_output: maybe(text),
  error_message: maybe(text),
  failure_type: maybe(text),
});
const Shell = v.looseObject({
  command: text,
  sandbox: maybe(v.boolean()),
  output: maybe(text),
});
const Mcp = v.looseObject({
  tool_name: text,
  tool_input: v.union([text, v.record(text, json)]),
  mcp_server_name: maybe(text),
  mcp_server_url: maybe(text),
  url: maybe(text),
  command: maybe(text),
  result_json: maybe(text),
});
const Edits = v.looseObject({
  file_path: text,
  edits: v.array(v.looseObject({ old_string: text, new_string: text })),
});
const File = v.looseObject({ file_path: text, content: maybe(text) });
const Prompt = v.looseObject({
  prompt: text,
  attachments: maybe(v.array(v.looseObject({ file_path: maybe(text) }))),
});
const Start = v.looseObject({ subagent_type: maybe(text), task: maybe(text), tool_call_id: maybe(text) });
const Stop = v.looseObject({ status: maybe(text), task: maybe(text), summary: maybe(text) });
const Said = v.looseObject({ text: text });
const End = v.looseObject({ reason: maybe(text), final_status: maybe(text) });

type Told = Pick<HookEvent, "about"> & {
  readonly sizes?: Record<string, number>;
  readonly tool?: string | undefined;
  readonly call?: string | undefined;
  readonly status?: string | undefined;
};
type Read = (input: JsonObject, place: Place, event: string) => Told;

const seen =
  (action: Extract<About["action"], `session.${string}` | `agent.${"stop" | "compact"}`>): Read =>
  (input, _, event) => {
    const { status, task, summary } = decode(Stop, input, event);
    const { reason, final_status } = decode(End, input, event);
    return {
      about: { action } as About,
      status: status ?? reason ?? final_status,
      sizes: sizesOf({ task, summary }),
    };
  };

const said =
  (action: "agent.response" | "agent.thought"): Read =>
  (input, _, event) => ({ about: { action }, sizes: sizesOf({ text: decode(Said, input, event).text }) });

const read =
  (tool: string): Read =>
  (input, place, event) => {
    const { file_path, content } = decode(File, input, event);
    const sizes = sizesOf({ content });
    const size = sizes["content"];
    const about = { action: "file.read", path: pathOf(file_path, place), tool } as const;
    return { about: { ...about, ...(size !== undefined && { size }) }, sizes, tool };
  };

const edited =
  (tool: string): Read =>
  (input, place, event) => {
    const { file_path, edits } = decode(Edits, input, event);
    const sum = (name: "old_string" | "new_string") =>
      edits.reduce((bytes, edit) => bytes + bytesOf(edit[name]), 0);
    const sizes = { edits: edits.length, removed: sum("old_string"), added: sum("new_string") };
    const about = { action: "file.edited", path: pathOf(file_path, place), tool, size: sizes.added } as const;
    return { about, sizes, tool };
  };

const used: Read = (input, place, event) => {
  const { tool_name, tool_input, tool_use_id } = decode(Tool, input, event);
  const about = aboutUse(tool_name, tool_input as Json, place);
  return { about, sizes: sizesOf({ input: jsonText(tool_input) }), tool: tool_name, call: tool_use_id };
};

const result: Read = (input, place, event) => {
  const told = decode(Tool, input, event);
  const { tool_name, tool_input, tool_use_id, tool_output, error_message, failure_type } = told;
  return {
    about: aboutResult(tool_name, tool_input as Json, place),
    sizes: sizesOf({ input: jsonText(tool_input), output: tool_output, error: error_message }),
    tool: tool_name,
    call: tool_use_id,
    status: failure_type,
  };
};

const mcp =
  (action: "mcp.call" | "mcp.result"): Read =>
  (input, _, event) => {
    const told = decode(Mcp, input, event);
    const { tool_name: tool, tool_input, result_json } = told;
    const asText = typeof tool_input === "string" ? tool_input : jsonText(tool_input);
    const sizes = sizesOf({ input: asText, output: result_json });
    const server = serverOf(told);
    const known = { tool, ...(server && { server }) };
    if (action === "mcp.result") return { about: { action, ...known }, sizes, tool };
    const given: Json =
      asText === undefined || asText === ""
        ? {}
        : parseJson(new TextEncoder().encode(asText), `tool_input of ${event}`);
    const digest = inputDigest(tool, given);
    return { about: { action, ...known, input: scalarsOf(given), digest }, sizes, tool };
  };

function serverOf(told: v.InferOutput<typeof Mcp>): McpServer | undefined {
  const url = told.mcp_server_url ?? told.url;
  const name = told.mcp_server_name ?? url ?? told.command;
  if (name === undefined) return undefined;
  return {
    name,
    ...(url !== undefined && { url }),
    ...(told.command !== undefined && { command: told.command }),
  };
}

const EVENTS: Readonly<Record<string, Read>> = {
  sessionStart: seen("session.start"),
  sessionEnd: seen("session.end"),
  workspaceOpen: seen("session.start"),
  beforeSubmitPrompt: (input, place, event) => {
    const { prompt, attachments = [] } = decode(Prompt, input, event);
    const paths = attachments.flatMap(({ file_path }) => (file_path ? [pathOf(file_path, place)] : []));
    const sizes = sizesOf({ prompt });
    return { about: { action: "prompt.submit", attachments: paths, size: bytesOf(prompt) }, sizes };
  },
  preToolUse: used,
  postToolUse: result,
  postToolUseFailure: result,
  beforeShellExecution: (input, place, event) => {
    const { command, sandbox } = decode(Shell, input, event);
    const about = { action: "shell.exec", command, cwd: place.base } as const;
    return { about: { ...about, ...(sandbox !== undefined && { sandbox }) }, sizes: sizesOf({ command }) };
  },
  afterShellExecution: (input, _, event) => {
    const { command, output } = decode(Shell, input, event);
    return { about: { action: "shell.result" }, sizes: sizesOf({ command, output }) };
  },
  beforeMCPExecution: mcp("mcp.call"),
  afterMCPExecution: mcp("mcp.result"),
  beforeReadFile: read("Read"),
  beforeTabFileRead: read("Tab"),
  afterFileEdit: edited("Edit"),
  afterTabFileEdit: edited("Tab"),
  subagentStart: (input, _, event) => {
    const { subagent_type, task, tool_call_id } = decode(Start, input, event);
    return {
      about: { action: "agent.start", type: subagent_type ?? "" },
      sizes: sizesOf({ task }),
      call: tool_call_id,
    };
  },
  subagentStop: seen("agent.stop"),
  stop: seen("agent.stop"),
  preCompact: seen("agent.compact"),
  afterAgentResponse: said("agent.response"),
  afterAgentThought: said("agent.thought"),
};

export const CURSOR_EVENTS: readonly string[] = Object.keys(EVENTS);

/** Undefined when Cursor has no such event. Throws `Refusal("malformed")` when it does not say what it must. */
export function readCursor(event: string, input: JsonObject): HookEvent | undefined {
  const how = Object.hasOwn(EVENTS, event) ? EVENTS[event] : undefined;
  if (!how) return undefined;
  const common = decode(Common, input, event);
  const roots = common.workspace_roots ?? [];
  const place = { base: common.cwd ?? roots[0] ?? "", roots };
  const { about, sizes = {}, tool, call, status } = how(input, place, event);
  const words = { generation: common.generation_id, call, tool, model: common.model, status };
  return {
    event,
    about,
    place,
    conversation: common.conversation_id ?? common.session_id,
    frame: { ...wordsOf({ ...words, version: common.cursor_version }), sizes },
  };
}

const jsonText = (value: unknown): string | undefined =>
  value === undefined ? undefined : JSON.stringify(value);
