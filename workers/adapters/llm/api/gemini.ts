/** Google's Gemini API: https://ai.google.dev/api/generate-content. The path names the model, and whether it streams. */
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

export const gemini: Api = {
  name: "gemini.generate",
  provider: "google",

  asked(body, model, stream) {
    const inner = isObject(body["generateContentRequest"]) ? body["generateContentRequest"] : body;
    if (model === undefined || !Array.isArray(inner["contents"]))
      throw new Refusal("malformed", "a request to generateContent needs contents");
    const system = inner["systemInstruction"] ?? inner["system_instruction"];
    const config = inner["generationConfig"] ?? inner["generation_config"];
    const tokens = isObject(config)
      ? countOf(config["maxOutputTokens"] ?? config["max_output_tokens"])
      : undefined;
    return {
      model,
      stream,
      messages: [
        ...(isObject(system) ? [messageOf({ ...system, role: "system" })] : []),
        ...objectsOf(inner["contents"]).map(messageOf),
      ],
      tools: objectsOf(inner["tools"]).flatMap((tool) =>
        objectsOf(tool["functionDeclarations"] ?? tool["function_declarations"]).flatMap(
          ({ name }) => textOf(name) ?? [],
        ),
      ),
      ...(tokens !== undefined && { tokens }),
    };
  },

  reading: () => new GenerateReading(),

  error: (refusal) => ({
    error: { code: refusal.status, message: refusal.message, status: STATUS[refusal.code] ?? "INTERNAL" },
  }),
};

/** google.rpc.Code */
const STATUS: Partial<Record<RefusalCode, string>> = {
  malformed: "INVALID_ARGUMENT",
  too_large: "INVALID_ARGUMENT",
  unauthenticated: "UNAUTHENTICATED",
  denied: "PERMISSION_DENIED",
  approval_pending: "PERMISSION_DENIED",
  approval_over: "PERMISSION_DENIED",
  not_yours: "PERMISSION_DENIED",
  unknown_connection: "NOT_FOUND",
  unknown_path: "NOT_FOUND",
  session_ended: "ABORTED",
  rate_limited: "RESOURCE_EXHAUSTED",
  not_recorded: "UNAVAILABLE",
  upstream_unreachable: "UNAVAILABLE",
  upstream_timeout: "DEADLINE_EXCEEDED",
};

const messageOf = (content: JsonObject): LlmMessage => ({
  role: textOf(content["role"]) ?? "user",
  parts: objectsOf(content["parts"]).map(partOf),
});

function partOf(part: JsonObject): LlmPart {
  const [type = "unknown"] = Object.keys(part).filter(
    (name) => name !== "thought" && name !== "thoughtSignature",
  );
  const said = part[type];
  const name = isObject(said) ? textOf(said["name"]) : undefined;
  return { type, size: sizeOf(said), ...(name !== undefined && { name }) };
}

class GenerateReading implements Reading {
  readonly #said: Said = { calls: [] };

  see(json: JsonObject): void {
    const model = textOf(json["modelVersion"]);
    if (model !== undefined) this.#said.model = model;
    if (isObject(json["error"])) this.#said.error = textOf(json["error"]["status"]) ?? "error";
    this.#usage(json["usageMetadata"]);
    for (const candidate of objectsOf(json["candidates"])) {
      const stop = textOf(candidate["finishReason"]);
      if (stop !== undefined) this.#said.stop = stop;
      if (!isObject(candidate["content"])) continue;
      for (const { functionCall } of objectsOf(candidate["content"]["parts"])) {
        if (!isObject(functionCall)) continue;
        const id = textOf(functionCall["id"]) ?? "";
        const name = textOf(functionCall["name"]) ?? "";
        this.#said.calls.push({ id, name, size: sizeOf(functionCall["args"]) });
      }
    }
  }

  said(): Said {
    return this.#said;
  }

  #usage(usage: Json | undefined): void {
    if (!isObject(usage)) return;
    const input = countOf(usage["promptTokenCount"]);
    const output = countOf(usage["candidatesTokenCount"]);
    const cached = countOf(usage["cachedContentTokenCount"]);
    this.#said.usage = {
      ...this.#said.usage,
      ...(input !== undefined && { input }),
      ...(output !== undefined && { output }),
      ...(cached !== undefined && { cached }),
    };
  }
}
