/** Claude Code's hook events, as its documentation has them. */
import * as v from "valibot";
import type { Json, JsonObject } from "#workers/wire/json/strict.ts";
import type { About, HookEvent, Place } from "../event.ts";
import { bytesOf, decode, maybe, sizesOf, text, wordsOf } from "./decode.ts";
import { aboutResult, aboutUse } from "./tool.ts";

const Common = v.looseObject({
  session_id: maybe(text),
  prompt_id: maybe(text),
  cwd: maybe(text),
  model: maybe(text),
  tool_name: maybe(text),
  tool_use_id: maybe(text),
  reason: maybe(text),
  source: maybe(text),
  trigger: maybe(text),
});
const Tool = v.looseObject({
  tool_name: text,
  tool_input: v.unknown(),
  tool_response: v.optional(v.unknown()),
});
const Prompt = v.looseObject({ prompt: text });

type Told = { readonly about: About; readonly sizes: Record<string, number> };
type Read = (input: JsonObject, place: Place, event: string) => Told;

const seen =
  (about: About): Read =>
  () => ({ about, sizes: {} });

const result: Read = (input, place, event) => {
  const { tool_name, tool_input, tool_response } = decode(Tool, input, event);
  const sizes = sizesOf({ input: jsonText(tool_input), output: jsonText(tool_response) });
  return { about: aboutResult(tool_name, tool_input as Json, place), sizes };
};

const EVENTS: Readonly<Record<string, Read>> = {
  SessionStart: seen({ action: "session.start" }),
  SessionEnd: seen({ action: "session.end" }),
  UserPromptSubmit: (input, _, event) => {
    const { prompt } = decode(Prompt, input, event);
    return {
      about: { action: "prompt.submit", attachments: [], size: bytesOf(prompt) },
      sizes: sizesOf({ prompt }),
    };
  },
  PreToolUse: (input, place, event) => {
    const { tool_name, tool_input } = decode(Tool, input, event);
    return {
      about: aboutUse(tool_name, tool_input as Json, place),
      sizes: sizesOf({ input: jsonText(tool_input) }),
    };
  },
  PostToolUse: result,
  PostToolUseFailure: result,
  Stop: seen({ action: "agent.stop" }),
  SubagentStop: seen({ action: "agent.stop" }),
  PreCompact: seen({ action: "agent.compact" }),
};

export const CLAUDE_EVENTS: readonly string[] = Object.keys(EVENTS);

/** Undefined when Claude Code has no such event here. Throws `Refusal("malformed")` when it does not say what it must. */
export function readClaude(event: string, input: JsonObject): HookEvent | undefined {
  const how = Object.hasOwn(EVENTS, event) ? EVENTS[event] : undefined;
  if (!how) return undefined;
  const common = decode(Common, input, event);
  const { cwd, reason, source, trigger } = common;
  const place = { base: cwd ?? "", roots: cwd === undefined ? [] : [cwd] };
  const { about, sizes } = how(input, place, event);
  const words = { generation: common.prompt_id, call: common.tool_use_id, tool: common.tool_name };
  const status = reason ?? source ?? trigger;
  return {
    event,
    about,
    place,
    conversation: common.session_id,
    frame: { ...wordsOf({ ...words, model: common.model, status }), sizes },
  };
}

const jsonText = (value: unknown): string | undefined =>
  value === undefined ? undefined : JSON.stringify(value);
