/** OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses and its streaming events. */
import type { LlmMessage, LlmPart } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import {
  countOf,
  isObject,
  type Json,
  type JsonObject,
  objectsOf,
  textOf,
} from "#workers/wire/json/strict.ts";
import { type Api, type Reading, type Said, sizeOf } from "./api.ts";
import { openaiError, toolNames } from "./openai-chat.ts";

export const openaiResponses: Api = {
  name: "openai.responses",
  provider: "openai",

  asked(body) {
    const model = textOf(body["model"]);
    if (model === undefined) throw new Refusal("malformed", "a request to the Responses API needs a model");
    const tokens = countOf(body["max_output_tokens"]);
    const instructions: LlmMessage[] =
      body["instructions"] === undefined || body["instructions"] === null
        ? []
        : [{ role: "system", parts: [{ type: "text", size: sizeOf(body["instructions"]) }] }];
    return {
      model,
      stream: body["stream"] === true,
      messages: [...instructions, ...inputOf(body["input"])],
      tools: toolNames(body["tools"]),
      ...(tokens !== undefined && { tokens }),
    };
  },

  reading: () => new ResponsesReading(),

  error: openaiError,
};

function inputOf(input: Json | undefined): readonly LlmMessage[] {
  if (typeof input === "string") return [{ role: "user", parts: [{ type: "text", size: sizeOf(input) }] }];
  return objectsOf(input).map((item) => {
    const type = textOf(item["type"]) ?? "message";
    const role = textOf(item["role"]) ?? (type.endsWith("_output") ? "tool" : "assistant");
    return { role, parts: type === "message" ? contentOf(item["content"]) : [itemOf(type, item)] };
  });
}

function contentOf(content: Json | undefined): readonly LlmPart[] {
  if (typeof content === "string") return [{ type: "text", size: sizeOf(content) }];
  return objectsOf(content).map((part) => ({
    type: textOf(part["type"]) ?? "unknown",
    size: sizeOf(part["text"] ?? part["image_url"] ?? part["file_data"]),
  }));
}

function itemOf(type: string, item: JsonObject): LlmPart {
  const name = textOf(item["name"]);
  const id = textOf(item["call_id"]) ?? textOf(item["id"]);
  return {
    type,
    size: sizeOf(item["arguments"] ?? item["input"] ?? item["output"]),
    ...(name !== undefined && { name }),
    ...(id !== undefined && { id }),
  };
}

/** Items that ask for a tool to be called. */
const CALLS: ReadonlySet<string> = new Set([
  "function_call",
  "custom_tool_call",
  "mcp_call",
  "local_shell_call",
]);

class ResponsesReading implements Reading {
  readonly #said: Said = { calls: [] };
  readonly #known = new Set<string>();

  see(json: JsonObject): void {
    const { response, item, type } = json;
    if (json["object"] === "response") this.#response(json);
    // `response.created`, `.completed`, `.failed`, `.incomplete` bring the response as it is by then.
    else if (isObject(response)) this.#response(response);
    else if (type === "response.output_item.done" && isObject(item)) this.#item(item);
    else if (type === "error") this.#said.error = textOf(json["code"]) ?? "error";
    else if (isObject(json["error"])) this.#said.error = textOf(json["error"]["type"]) ?? "error";
  }

  said(): Said {
    return this.#said;
  }

  #response(response: JsonObject): void {
    const { model, status, usage, error } = response;
    const named = textOf(model);
    const stop = textOf(status);
    if (named !== undefined) this.#said.model = named;
    if (stop !== undefined) this.#said.stop = stop;
    if (isObject(error)) this.#said.error = textOf(error["code"]) ?? "error";
    for (const item of objectsOf(response["output"])) this.#item(item);
    if (!isObject(usage)) return;
    const input = countOf(usage["input_tokens"]);
    const output = countOf(usage["output_tokens"]);
    const details = usage["input_tokens_details"];
    const cached = isObject(details) ? countOf(details["cached_tokens"]) : undefined;
    this.#said.usage = {
      ...(input !== undefined && { input }),
      ...(output !== undefined && { output }),
      ...(cached !== undefined && { cached }),
    };
  }

  #item(item: JsonObject): void {
    const type = textOf(item["type"]) ?? "";
    const { id = "", name = type, size } = itemOf(type, item);
    if (!CALLS.has(type) || this.#known.has(id)) return;
    this.#known.add(id);
    this.#said.calls.push({ id, name, size });
  }
}
