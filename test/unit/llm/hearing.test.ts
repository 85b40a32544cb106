import fc from "fast-check";
import { expect, test } from "vitest";
import { anthropic } from "#workers/adapters/llm/api/anthropic.ts";
import type { Api } from "#workers/adapters/llm/api/api.ts";
import { gemini } from "#workers/adapters/llm/api/gemini.ts";
import { openaiChat } from "#workers/adapters/llm/api/openai-chat.ts";
import { openaiResponses } from "#workers/adapters/llm/api/openai-responses.ts";
import { hearingOf } from "#workers/adapters/llm/hearing.ts";

const events = (...list: readonly (readonly [string, unknown])[]): string =>
  list
    .map(([type, json]) => `${type === "" ? "" : `event: ${type}\n`}data: ${JSON.stringify(json)}\n\n`)
    .join("");

const weather = { id: "t1", name: "get_weather", size: 15 };
const answers: readonly (readonly [string, Api, string, string, unknown])[] = [
  [
    "Anthropic, streamed",
    anthropic,
    "text/event-stream",
    events(
      [
        "message_start",
        {
          type: "message_start",
          message: { model: "claude", usage: { input_tokens: 9, cache_read_input_tokens: 3 } },
        },
      ],
      [
        "content_block_start",
        {
          type: "content_block_start",
          index: 1,
          content_block: { type: "tool_use", id: "t1", name: "get_weather", input: {} },
        },
      ],
      [
        "content_block_delta",
        {
          type: "content_block_delta",
          index: 1,
          delta: { type: "input_json_delta", partial_json: '{"city":' },
        },
      ],
      [
        "content_block_delta",
        {
          type: "content_block_delta",
          index: 1,
          delta: { type: "input_json_delta", partial_json: '"Oslo"}' },
        },
      ],
      [
        "message_delta",
        { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 20 } },
      ],
      ["message_stop", { type: "message_stop" }],
    ),
    { model: "claude", stop: "tool_use", usage: { input: 9, cached: 3, output: 20 }, calls: [weather] },
  ],
  [
    "Anthropic, whole",
    anthropic,
    "application/json",
    JSON.stringify({
      type: "message",
      model: "claude",
      stop_reason: "end_turn",
      usage: { input_tokens: 1, output_tokens: 2 },
      content: [
        { type: "text", text: "größer" },
        { type: "tool_use", id: "t1", name: "get_weather", input: { city: "Oslo" } },
      ],
    }),
    { model: "claude", stop: "end_turn", usage: { input: 1, output: 2 }, calls: [weather] },
  ],
  [
    "Chat Completions, streamed",
    openaiChat,
    "text/event-stream; charset=utf-8",
    `${events(
      [
        "",
        {
          model: "gpt",
          choices: [
            {
              index: 0,
              delta: {
                tool_calls: [{ index: 0, id: "t1", function: { name: "get_weather", arguments: "" } }],
              },
            },
          ],
        },
      ],
      [
        "",
        {
          model: "gpt",
          choices: [
            { index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '{"city":"Oslo"}' } }] } },
          ],
        },
      ],
      ["", { model: "gpt", choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] }],
      [
        "",
        {
          model: "gpt",
          choices: [],
          usage: { prompt_tokens: 5, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 1 } },
        },
      ],
    )}data: [DONE]\n\n`,
    { model: "gpt", stop: "tool_calls", usage: { input: 5, output: 7, cached: 1 }, calls: [weather] },
  ],
  [
    "Responses, streamed",
    openaiResponses,
    "text/event-stream",
    events(
      [
        "response.created",
        { type: "response.created", response: { model: "gpt", status: "in_progress", output: [] } },
      ],
      [
        "response.output_item.done",
        {
          type: "response.output_item.done",
          item: { type: "function_call", call_id: "t1", name: "get_weather", arguments: '{"city":"Oslo"}' },
        },
      ],
      [
        "response.completed",
        {
          type: "response.completed",
          response: {
            model: "gpt",
            status: "completed",
            usage: { input_tokens: 5, output_tokens: 7 },
            output: [
              { type: "function_call", call_id: "t1", name: "get_weather", arguments: '{"city":"Oslo"}' },
            ],
          },
        },
      ],
    ),
    { model: "gpt", stop: "completed", usage: { input: 5, output: 7 }, calls: [weather] },
  ],
  [
    "Gemini, streamed as a list",
    gemini,
    "application/json",
    JSON.stringify([
      {
        modelVersion: "gemini",
        candidates: [
          {
            content: { parts: [{ functionCall: { id: "t1", name: "get_weather", args: { city: "Oslo" } } }] },
          },
        ],
      },
      {
        candidates: [{ finishReason: "STOP" }],
        usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 4 },
      },
    ]),
    { model: "gemini", stop: "STOP", usage: { input: 3, output: 4 }, calls: [weather] },
  ],
];

const hear = (
  api: Api,
  type: string,
  bytes: Uint8Array,
  cuts: readonly number[] = [],
  whole = true,
): unknown => {
  const hearing = hearingOf(api, new Headers({ "content-type": type }));
  const places = [0, ...cuts.map((cut) => cut % (bytes.byteLength + 1)), bytes.byteLength].toSorted(
    (a, b) => a - b,
  );
  for (const [i, end] of places.slice(1).entries()) hearing?.hear(bytes.subarray(places[i], end));
  return hearing?.contained(whole)[0];
};

test.each(answers)("an answer of %s says the same however it is split", (_, api, type, text, said) => {
  const bytes = new TextEncoder().encode(text);
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
      expect(hear(api, type, bytes, cuts)).toEqual({
        k: "llm",
        dir: "s2c",
        read: "all",
        ...(said as object),
      });
    }),
  );
});

test.each(answers)(
  "an answer of %s that breaks off anywhere is said to be heard in part",
  (_, api, type, text) => {
    const bytes = new TextEncoder().encode(text);
    fc.assert(
      fc.property(fc.nat(bytes.byteLength - 1), (end) => {
        expect(hear(api, type, bytes.subarray(0, end), [], false)).toMatchObject({ read: "part" });
      }),
    );
  },
);

test("an event that is no JSON does not stop the reading, and the frame says `part`", () => {
  const text = `data: {"model":\n\n${events(["", { model: "gpt", choices: [] }])}`;
  expect(hear(openaiChat, "text/event-stream", new TextEncoder().encode(text))).toMatchObject({
    model: "gpt",
    read: "part",
  });
});

test("an upstream's error is in the frame, and nothing else of it", () => {
  const text = JSON.stringify({ error: { type: "insufficient_quota", message: "of you know whom" } });
  const frame = hear(openaiChat, "application/json", new TextEncoder().encode(text));
  expect(frame).toMatchObject({ error: "insufficient_quota" });
  expect(JSON.stringify(frame)).not.toContain("whom");
});

test("whatever an upstream sends, the reading does not throw", () => {
  const kinds = ["text/event-stream", "application/json"];
  fc.assert(
    fc.property(
      fc.constantFrom(...[anthropic, openaiChat, openaiResponses, gemini]),
      fc.constantFrom(...kinds),
      fc.json(),
      (api, type, json) => {
        const text = type === "application/json" ? json : `data: ${json}\n\n`;
        expect(hear(api, type, new TextEncoder().encode(text))).toMatchObject({ k: "llm" });
      },
    ),
  );
});
