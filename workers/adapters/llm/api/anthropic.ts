/** Anthropic's Messages API: https://docs.anthropic.com/en/api/messages and its streaming events. */
import type { LlmMessage, LlmPart } from "#durable/format/operation.ts";
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

export const anthropic: Api = {
  name: "anthropic.messages",
  provider: "anthropic",

  asked(body) {
    const model = textOf(body["model"]);
    if (model === undefined || !Array.isArray(body["messages"]))
      throw new Refusal("malformed", "a request to the Messages API needs model and messages");
    const system: LlmMessage[] =
      body["system"] === undefined ? [] : [{ role: "system", parts: partsOf(body["system"]) }];
    const tokens = countOf(body["max_tokens"]);
    return {
      model,
      stream: body["stream"] === true,
      messages: [
        ...system,
        ...objectsOf(body["messages"]).map((message) => ({
          role: textOf(message["role"]) ?? "unknown",
          parts: partsOf(message["content"]),
        })),
      ],
      tools: objectsOf(body["tools"]).flatMap(({ name }) => textOf(name) ?? []),
      ...(tokens !== undefined && { tokens }),
    };
  },

  reading: () => new MessagesReading(),

  error: ({ code, message }) => ({ type: "error", error: { type: ERRORS[code] ?? "api_error", message } }),
};

/** https://docs.anthropic.com/en/api/errors */
const ERRORS: Partial<Record<RefusalCode, string>> = {
  malformed: "invalid_request_error",
  session_ended: "invalid_request_error",
  unauthenticated: "authentication_error",
  denied: "permission_error",
  approval_pending: "permission_error",
  approval_over: "permission_error",
  not_yours: "permission_error",
  unknown_connection: "not_found_error",
  unknown_path: "not_found_error",
  too_large: "request_too_large",
  rate_limited: "rate_limit_error",
};

function partsOf(content: Json | undefined): readonly LlmPart[] {
  if (typeof content === "string") return [{ type: "text", size: sizeOf(content) }];
  return objectsOf(content).map((block) => {
    const name = textOf(block["name"]);
    const id = textOf(block["id"]) ?? textOf(block["tool_use_id"]);
    const said = block["text"] ?? block["input"] ?? block["content"] ?? block["source"];
    return {
      type: textOf(block["type"]) ?? "unknown",
      size: sizeOf(said),
      ...(name !== undefined && { name }),
      ...(id !== undefined && { id }),
    };
  });
}

class MessagesReading implements Reading {
  readonly #said: Said = { calls: [] };
  readonly #open = new Map<number, { id: string; name: string; size: number }>();

  see(json: JsonObject): void {
    switch (textOf(json["type"]) ?? "") {
      case "message":
        this.#message(json);
        for (const block of objectsOf(json["content"])) this.#begin(-1, block);
        break;
      case "message_start":
        if (isObject(json["message"])) this.#message(json["message"]);
        break;
      case "content_block_start":
        if (isObject(json["content_block"])) this.#begin(countOf(json["index"]) ?? -1, json["content_block"]);
        break;
      case "content_block_delta":
        this.#grow(json);
        break;
      case "message_delta":
        if (isObject(json["delta"])) this.#message(json["delta"]);
        this.#usage(json["usage"]);
        break;
      case "error":
        if (isObject(json["error"])) this.#said.error = textOf(json["error"]["type"]) ?? "error";
        break;
    }
  }

  said(): Said {
    return this.#said;
  }

  #message(message: JsonObject): void {
    const model = textOf(message["model"]);
    const stop = textOf(message["stop_reason"]);
    if (model !== undefined) this.#said.model = model;
    if (stop !== undefined) this.#said.stop = stop;
    this.#usage(message["usage"]);
  }

  #begin(index: number, block: JsonObject): void {
    if (block["type"] !== "tool_use") return;
    const { input } = block;
    // Streamed arguments follow in deltas; the empty object that stands here is no part of them.
    const size = index < 0 ? sizeOf(input) : 0;
    const call = { id: textOf(block["id"]) ?? "", name: textOf(block["name"]) ?? "", size };
    this.#said.calls.push(call);
    if (index >= 0) this.#open.set(index, call);
  }

  #grow(json: JsonObject): void {
    const delta = json["delta"];
    const call = this.#open.get(countOf(json["index"]) ?? -1);
    if (call && isObject(delta)) call.size += sizeOf(delta["partial_json"]);
  }

  #usage(usage: Json | undefined): void {
    if (!isObject(usage)) return;
    const input = countOf(usage["input_tokens"]);
    const output = countOf(usage["output_tokens"]);
    const cached = countOf(usage["cache_read_input_tokens"]);
    this.#said.usage = {
      ...this.#said.usage,
      ...(input !== undefined && { input }),
      ...(output !== undefined && { output }),
      ...(cached !== undefined && { cached }),
    };
  }
}
