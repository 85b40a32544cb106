import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { ConnectionName } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { adapterContract, type Example, incomingOf, sound } from "#test/unit/adapter-contract.ts";
import { llmAdapter } from "#workers/adapters/llm/adapter.ts";

const connection = { name: "models" as ConnectionName, kind: "llm", bodies: "full" } as const;
const bytes = (json: unknown) => new Uint8Array(new TextEncoder().encode(JSON.stringify(json)));
const post = (path: string, json: unknown, headers: Record<string, string> = {}): Example => ({
  name: path,
  method: "POST",
  path,
  query: "",
  headers: { "content-type": "application/json", ...headers },
  body: bytes(json),
});

const messages = post("/v1/messages", {
  model: "claude-sonnet-5",
  max_tokens: 100,
  stream: true,
  system: "Be brief.",
  tools: [{ name: "get_weather", input_schema: { type: "object" } }],
  messages: [
    { role: "user", content: "Weather?" },
    {
      role: "assistant",
      content: [{ type: "tool_use", id: "toolu_1", name: "get_weather", input: { city: "Oslo" } }],
    },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "rain" }] },
  ],
});
const chat = post("/v1/chat/completions", {
  model: "gpt-6",
  max_completion_tokens: 50,
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "Weather?" }] },
    {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Oslo"}' } },
      ],
    },
    { role: "tool", tool_call_id: "call_1", content: "rain" },
  ],
  tools: [{ type: "function", function: { name: "get_weather" } }],
});
const responses = post("/responses", {
  model: "gpt-6",
  instructions: "Be brief.",
  input: [
    { role: "user", content: [{ type: "input_text", text: "Weather?" }] },
    { type: "function_call", call_id: "call_1", name: "get_weather", arguments: '{"city":"Oslo"}' },
    { type: "function_call_output", call_id: "call_1", output: "rain" },
  ],
  tools: [{ type: "function", name: "get_weather" }, { type: "web_search" }],
  stream: true,
});
const gemini = post("/v1beta/models/gemini-4-pro:streamGenerateContent", {
  systemInstruction: { parts: [{ text: "Be brief." }] },
  contents: [
    { role: "user", parts: [{ text: "Weather?" }] },
    { role: "model", parts: [{ functionCall: { name: "get_weather", args: { city: "Oslo" } } }] },
  ],
  tools: [{ functionDeclarations: [{ name: "get_weather" }] }],
  generationConfig: { maxOutputTokens: 20 },
});

adapterContract(llmAdapter, connection, [
  messages,
  chat,
  responses,
  gemini,
  post("/v1/messages/count_tokens", { model: "m", messages: [] }),
  { ...post("/v1/models", {}), name: "models", method: "GET", body: undefined },
]);

describe("what a request asks is decoded", () => {
  const inspect = (example: Example) => sound(llmAdapter.inspect(incomingOf(example, connection)));

  test("by Anthropic's Messages", async () => {
    const { operation, frames, questions } = await inspect(messages);
    expect(operation).toEqual({
      kind: "llm.chat",
      api: "anthropic.messages",
      model: "claude-sonnet-5",
      messages: 4,
      tools: ["get_weather"],
      tokens: 100,
      stream: true,
    });
    expect(frames).toEqual([
      {
        k: "llm",
        dir: "c2s",
        messages: [
          { role: "system", parts: [{ type: "text", size: 9 }] },
          { role: "user", parts: [{ type: "text", size: 8 }] },
          { role: "assistant", parts: [{ type: "tool_use", size: 15, name: "get_weather", id: "toolu_1" }] },
          { role: "user", parts: [{ type: "tool_result", size: 4, id: "toolu_1" }] },
        ],
      },
    ]);
    expect(questions).toMatchObject([
      {
        action: "llm.chat",
        resource: { type: "Model", id: "models/claude-sonnet-5", attrs: { provider: "anthropic" } },
        context: {
          api: "anthropic.messages",
          messages: 4,
          tools: ["get_weather"],
          stream: true,
          tokens: 100,
        },
      },
    ]);
  });

  test("by OpenAI's Chat Completions", async () => {
    const { operation, frames } = await inspect(chat);
    expect(operation).toMatchObject({
      api: "openai.chat",
      model: "gpt-6",
      messages: 4,
      stream: false,
      tokens: 50,
    });
    expect(frames[0]).toMatchObject({
      messages: [
        { role: "system", parts: [{ type: "text", size: 9 }] },
        { role: "user", parts: [{ type: "text", size: 8 }] },
        { role: "assistant", parts: [{ type: "tool_call", size: 15, name: "get_weather", id: "call_1" }] },
        { role: "tool", parts: [{ type: "text", size: 4, id: "call_1" }] },
      ],
    });
  });

  test("by OpenAI's Responses", async () => {
    const { operation, frames } = await inspect(responses);
    expect(operation).toMatchObject({ api: "openai.responses", messages: 4, stream: true });
    expect(operation).toMatchObject({ tools: ["get_weather", "web_search"] });
    expect(frames[0]).toMatchObject({
      messages: [
        { role: "system" },
        { role: "user", parts: [{ type: "input_text", size: 8 }] },
        {
          role: "assistant",
          parts: [{ type: "function_call", size: 15, name: "get_weather", id: "call_1" }],
        },
        { role: "tool", parts: [{ type: "function_call_output", size: 4, id: "call_1" }] },
      ],
    });
  });

  test("by Gemini, whose path names the model", async () => {
    const { operation, frames } = await inspect(gemini);
    expect(operation).toMatchObject({
      api: "gemini.generate",
      model: "gemini-4-pro",
      stream: true,
      tokens: 20,
    });
    expect(frames[0]).toMatchObject({
      messages: [
        { role: "system", parts: [{ type: "text", size: 9 }] },
        { role: "user", parts: [{ type: "text", size: 8 }] },
        { role: "model", parts: [{ type: "functionCall", name: "get_weather" }] },
      ],
    });
  });

  test("though it is compressed, and it goes upstream as it came", async () => {
    const body = new Uint8Array(gzipSync(chat.body ?? ""));
    const { operation, body: sent } = await inspect({
      ...chat,
      body,
      headers: { ...chat.headers, "content-encoding": "gzip" },
    });
    expect(operation).toMatchObject({ model: "gpt-6" });
    expect(sent).toEqual({ kind: "whole", bytes: body });
  });
});

describe("refused is", () => {
  const refusal = async (example: Example): Promise<string> => {
    const thrown = await llmAdapter.inspect(incomingOf(example, connection)).catch((cause: unknown) => cause);
    if (!(thrown instanceof Refusal)) throw new Error("it was not refused");
    return thrown.message;
  };

  test.each([
    ["a body with a name twice", '{"model":"a","model":"b","messages":[]}', /"model" twice/],
    ["a name twice by escapes", '{"model":"a","mod\\u0065l":"b","messages":[]}', /"model" twice/],
    ["a body that is no JSON", "{", /not JSON/],
    ["a body that is no UTF-8", '{"model":"\xff"}', /needs model and messages|not JSON/],
    ["a list", "[]", /no JSON object/],
    ["a body without messages", '{"model":"a"}', /needs model and messages/],
    ["what nests too deep", `{"model":"a","messages":${"[".repeat(200)}${"]".repeat(200)}}`, /nests deeper/],
  ])("%s", async (_, text, said) => {
    const body = new Uint8Array(Buffer.from(text, "latin1"));
    expect(await refusal({ ...chat, body })).toMatch(said);
  });

  test("a content encoding that is not read here", async () => {
    expect(await refusal({ ...chat, headers: { ...chat.headers, "content-encoding": "br" } })).toMatch(
      /content encoding is not gzip/,
    );
  });

  test("a path that is not decoded, with what to do", async () => {
    expect(await refusal({ ...chat, path: "/v1/embeddings" })).toMatch(/connection of kind http/);
  });
});

test.each([
  ["/v1/messages", { type: "error", error: { type: "permission_error", message: "no" } }],
  [
    "/v1/chat/completions",
    { error: { message: "no", type: "permission_error", param: null, code: "denied" } },
  ],
  ["/v1beta/models/m:generateContent", { error: { code: 403, message: "no", status: "PERMISSION_DENIED" } }],
])("a refusal of %s is an error of that API, which its client does not try again", async (path, said) => {
  const response = llmAdapter.refuse(new Refusal("denied", "no"), incomingOf({ ...chat, path }, connection), {
    kind: "unknown",
  });
  expect(response.status).toBe(403);
  expect(response.headers.get("x-should-retry")).toBe("false");
  expect(await response.json()).toEqual(said);
});
