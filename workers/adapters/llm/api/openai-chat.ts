/** OpenAI's Chat Completions API, and the many that speak it: https://platform.openai.com/docs/api-reference/chat */
import type { LlmPart } from "#durable/format/operation.ts";
import { Refusal, type RefusalCode } from "#durable/format/refusal.ts";
import {
  countOf,
  isObject,
  type Json,
  type JsonObject,
  objectsOf,
  textOf,
} from "#workers/wire/json/strict.ts";
import { type Api, type Reading, type Said, sizeOf } from "./api.ts";

export const openaiChat: Api = {
  name: "openai.chat",
  provider: "openai",

  asked(body) {
    const model = textOf(body["model"]);
    if (model === undefined || !Array.isArray(body["messages"]))
      throw new Refusal("malformed", "a request to Chat Completions needs model and messages");
    const tokens = countOf(body["max_completion_tokens"]) ?? countOf(body["max_tokens"]);
    return {
      model,
      stream: body["stream"] === true,
      messages: objectsOf(body["messages"]).map((message) => ({
        role: textOf(message["role"]) ?? "unknown",
        parts: [...partsOf(message), ...callsOf(message)],
      })),
      tools: toolNames(body["tools"]),
      ...(tokens !== undefined && { tokens }),
    };
  },

  reading: () => new ChatReading(),

  error: openaiError,
};

/** Both shapes that OpenAI's APIs have for a tool. */
export function toolNames(tools: Json | undefined): readonly string[] {
  return objectsOf(tools).flatMap((tool) => {
    const inner = isObject(tool["function"]) ? tool["function"] : tool;
    return textOf(inner["name"]) ?? textOf(tool["type"]) ?? [];
  });
}

/** https://platform.openai.com/docs/guides/error-codes */
export function openaiError({ code, message }: Refusal): Json {
  return { error: { message, type: ERRORS[code] ?? "server_error", param: null, code } };
}

const ERRORS: Partial<Record<RefusalCode, string>> = {
  malformed: "invalid_request_error",
  session_ended: "invalid_request_error",
  too_large: "invalid_request_error",
  unknown_connection: "invalid_request_error",
  unknown_path: "invalid_request_error",
  unauthenticated: "authentication_error",
  denied: "permission_error",
  approval_pending: "permission_error",
  approval_over: "permission_error",
  not_yours: "permission_error",
  rate_limited: "rate_limit_error",
};

function partsOf({ content, tool_call_id }: JsonObject): readonly LlmPart[] {
  const id = textOf(tool_call_id);
  const answers = id === undefined ? {} : { id };
  if (typeof content === "string") return [{ type: "text", size: sizeOf(content), ...answers }];
  return objectsOf(content).map((part) => {
    const type = textOf(part["type"]) ?? "unknown";
    return { type, size: sizeOf(part[type] ?? part["text"]), ...answers };
  });
}

function callsOf({ tool_calls }: JsonObject): readonly LlmPart[] {
  return objectsOf(tool_calls).map((call) => {
    const inner = isObject(call["function"]) ? call["function"] : {};
    const name = textOf(inner["name"]);
    const id = textOf(call["id"]);
    return {
      type: "tool_call",
      size: sizeOf(inner["arguments"]),
      ...(name !== undefined && { name }),
      ...(id !== undefined && { id }),
    };
  });
}

class ChatReading implements Reading {
  readonly #said: Said = { calls: [] };
  /** By choice and index: a call's arguments come in pieces. */
  readonly #open = new Map<string, { id: string; name: string; size: number }>();

  see(json: JsonObject): void {
    const model = textOf(json["model"]);
    if (model !== undefined && model !== "") this.#said.model = model;
    if (isObject(json["error"])) this.#said.error = textOf(json["error"]["type"]) ?? "error";
    this.#usage(json["usage"]);
    for (const choice of objectsOf(json["choices"])) {
      const stop = textOf(choice["finish_reason"]);
      if (stop !== undefined) this.#said.stop = stop;
      const message = choice["message"] ?? choice["delta"];
      if (!isObject(message)) continue;
      for (const [at, call] of objectsOf(message["tool_calls"]).entries())
        this.#call(`${countOf(choice["index"]) ?? 0} ${countOf(call["index"]) ?? at}`, call);
    }
  }

  said(): Said {
    return this.#said;
  }

  #call(key: string, call: JsonObject): void {
    const inner = isObject(call["function"]) ? call["function"] : {};
    let open = this.#open.get(key);
    if (!open) {
      open = { id: "", name: "", size: 0 };
      this.#open.set(key, open);
      this.#said.calls.push(open);
    }
    open.id ||= textOf(call["id"]) ?? "";
    open.name ||= textOf(inner["name"]) ?? "";
    open.size += sizeOf(inner["arguments"]);
  }

  #usage(usage: Json | undefined): void {
    if (!isObject(usage)) return;
    const input = countOf(usage["prompt_tokens"]);
    const output = countOf(usage["completion_tokens"]);
    const details = usage["prompt_tokens_details"];
    const cached = isObject(details) ? countOf(details["cached_tokens"]) : undefined;
    this.#said.usage = {
      ...(input !== undefined && { input }),
      ...(output !== undefined && { output }),
      ...(cached !== undefined && { cached }),
    };
  }
}
