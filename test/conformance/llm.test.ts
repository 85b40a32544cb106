// Model APIs through a whole node: the providers' own clients before it, a provider behind it, the record beside it.
import { setTimeout as sleep } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { LlmFrame } from "#durable/format/frame.ts";
import { endSessions } from "#test/support/git-site.ts";
import { readRecording } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { LONG, type ModelServer, startModels } from "#test/support/servers/models.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";
import { header, startTap, type Tap } from "#test/support/tap.ts";

const POLICY = `
@id("developers") @reason("developers may ask models")
permit (principal in Group::"developers", action in Action::"llm", resource in Connection::"models");
@id("no-opus") @reason("opus costs too much")
forbid (principal, action == Action::"llm.chat", resource) when { resource.name like "*opus*" };
`;

let oidc: OidcServer;
let models: ModelServer;
let tap: Tap;
let node: Node;
let token: string;
let base: string;

beforeAll(async () => {
  [oidc, models] = await Promise.all([startOidc(), startModels()]);
  tap = await startTap(models.url);
  const provider = { kind: "llm", upstream: tap.url, credential: "env:MODEL_KEY" };
  node = await startNode({
    issuer: oidc.issuer,
    connections: [{ name: "models", ...provider, scheme: "header", header: "x-api-key" }],
    policies: { "llm.cedar": POLICY },
    env: { MODEL_KEY: "the-providers-key" },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
  base = `${node.gateway()}/llm/models`;
});
beforeEach(() => {
  tap.passed.length = 0;
});
afterAll(async () => {
  await node?.stop();
  await tap?.stop();
  await models?.stop();
  await oidc?.stop();
});

const openai = () => new OpenAI({ baseURL: `${base}/v1`, apiKey: token, maxRetries: 2 });
const anthropic = () => new Anthropic({ baseURL: base, apiKey: token, maxRetries: 2 });
const user = (content: string) => [{ role: "user" as const, content }];
const TOOL = { type: "object" as const, properties: { city: { type: "string" } } };

/** What the record says of the newest exchange, and whether its bytes are those that passed. */
async function recorded(): Promise<{ said: LlmFrame | undefined; operation: unknown }> {
  const passed = tap.passed.at(-1);
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { exchanges, sessions } = await readRecording(node.archive);
  const exchange = [...exchanges.values()].toSorted((a, b) => (a.request.x < b.request.x ? -1 : 1)).at(-1);
  if (!passed || !exchange) throw new Error("nothing was recorded");
  expect(Buffer.compare(exchange.sent.bytes, passed.body())).toBe(0);
  expect(Buffer.compare(exchange.answered.bytes, passed.answer())).toBe(0);
  expect(exchange.answered.end).toBe("complete");
  const frames = sessions.get(exchange.session) ?? [];
  const said = frames.find(
    (frame) => frame.k === "llm" && frame.dir === "s2c" && frame.x === exchange.request.x,
  );
  return { said: said?.k === "llm" ? said : undefined, operation: exchange.request.operation };
}

describe("OpenAI's own client", () => {
  test("gets an answer, and the provider sees the gateway's key and not the agent's token", async () => {
    const answer = await openai().chat.completions.create({ model: "gpt-5", messages: user("hello") });
    expect(answer.choices[0]?.message.content).toBe("Hi there, größer!");
    const { headers } = tap.passed[0] ?? { headers: [] };
    expect(header(headers, "x-api-key")).toBe("the-providers-key");
    expect(header(headers, "authorization")).toBeUndefined();
    const { said, operation } = await recorded();
    expect(operation).toMatchObject({ kind: "llm.chat", api: "openai.chat", model: "gpt-5", stream: false });
    expect(said).toMatchObject({ read: "all", model: "gpt-5", stop: "stop", calls: [] });
  });

  test("streams, byte for byte what the provider sent", async () => {
    let text = "";
    const stream = await openai().chat.completions.create({
      model: "gpt-5",
      messages: user("long"),
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const { choices } of stream) text += choices[0]?.delta?.content ?? "";
    expect(text).toBe(LONG);
    expect((await recorded()).said).toMatchObject({ read: "all", stop: "stop" });
  });

  test("streams tool calls, and the record names them", async () => {
    const stream = await openai().chat.completions.create({
      model: "gpt-5",
      messages: user("weather"),
      stream: true,
      tools: [{ type: "function", function: { name: "get_weather", parameters: TOOL } }],
    });
    let called = "";
    for await (const { choices } of stream)
      for (const call of choices[0]?.delta?.tool_calls ?? []) called += call.function?.arguments ?? "";
    expect(JSON.parse(called)).toEqual({ city: "Oslo" });
    const { said, operation } = await recorded();
    expect(operation).toMatchObject({ tools: ["get_weather"] });
    expect(said).toMatchObject({ stop: "tool_calls", calls: [{ name: "get_weather", size: 15 }] });
  });

  test("uses the Responses API, whole and streamed", async () => {
    const answer = await openai().responses.create({ model: "gpt-5", input: "hello" });
    expect(answer.output_text).toBe("Hi there, größer!");
    let text = "";
    for await (const event of await openai().responses.create({
      model: "gpt-5",
      input: "hello",
      stream: true,
    }))
      if (event.type === "response.output_text.delta") text += event.delta;
    expect(text).toBe("Hi there, größer!");
    const { said, operation } = await recorded();
    expect(operation).toMatchObject({ api: "openai.responses", stream: true });
    expect(said).toMatchObject({ read: "all", stop: "completed" });
  });

  test("lists models", async () => {
    expect((await openai().models.list()).data.length).toBeGreaterThan(0);
    expect((await recorded()).operation).toEqual({ kind: "llm.models", provider: "openai" });
  });
});

describe("Anthropic's own client", () => {
  test("gets an answer by its own key header", async () => {
    const answer = await anthropic().messages.create({
      model: "claude-sonnet-5",
      max_tokens: 99,
      messages: user("hello"),
    });
    expect(answer.content[0]).toMatchObject({ type: "text", text: "Hi there, größer!" });
    const { said } = await recorded();
    expect(said).toMatchObject({ read: "all", stop: "end_turn" });
  });

  test("gets an answer by a bearer token, as Claude Code sends it, in a session of its conversation", async () => {
    const client = new Anthropic({
      baseURL: base,
      authToken: token,
      apiKey: null,
      defaultHeaders: { "x-claude-code-session-id": "conversation-7" },
    });
    await client.messages.create({ model: "claude-sonnet-5", max_tokens: 99, messages: user("hello") });
    await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
    const { sessions } = await readRecording(node.archive);
    const starts = [...sessions.values()].map(([first]) => first);
    expect(starts).toContainEqual(expect.objectContaining({ conversation: "conversation-7" }));
  });

  test("streams text and tool calls, byte for byte what the provider sent", async () => {
    const client = anthropic();
    const said = await client.messages
      .stream({ model: "claude-sonnet-5", max_tokens: 99, messages: user("long") })
      .finalMessage();
    expect(said.content[0]).toMatchObject({ type: "text", text: LONG });
    const tools = [{ name: "get_weather", input_schema: TOOL }];
    const stream = client.messages.stream({
      model: "claude-sonnet-5",
      max_tokens: 99,
      messages: user("weather"),
      tools,
    });
    expect((await stream.finalMessage()).content).toContainEqual(
      expect.objectContaining({ type: "tool_use", name: "get_weather", input: { city: "Oslo" } }),
    );
    expect((await recorded()).said).toMatchObject({
      read: "all",
      stop: "tool_use",
      calls: [{ name: "get_weather", size: 15 }],
    });
  });
});

test("Gemini's API answers, streamed, to a key in the query, which stays here", async () => {
  const url = `${base}/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse&key=${token}`;
  const body = JSON.stringify({ contents: [{ role: "user", parts: [{ text: "weather" }] }] });
  const response = await fetch(url, {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
  });
  expect(response.status).toBe(200);
  expect(await response.text()).toContain("get_weather");
  expect(tap.passed[0]?.url).toBe("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse");
  const { said, operation } = await recorded();
  expect(operation).toMatchObject({ api: "gemini.generate", model: "gemini-2.5-pro", stream: true });
  expect(said).toMatchObject({ calls: [{ name: "get_weather", size: 15 }] });
});

test("what policy forbids is told in the provider's words, once, and never reaches the provider", async () => {
  const refused = anthropic().messages.create({
    model: "claude-opus-5",
    max_tokens: 9,
    messages: user("hello"),
  });
  await expect(refused).rejects.toThrow(Anthropic.PermissionDeniedError);
  await expect(refused).rejects.toThrow(/opus costs too much/);
  const other = openai().chat.completions.create({ model: "my-opus", messages: user("hello") });
  await expect(other).rejects.toThrow(OpenAI.PermissionDeniedError);
  expect(tap.passed).toEqual([]);
});

test("a token nobody issued is refused as a wrong key", async () => {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "sk-wrong", maxRetries: 0 });
  await expect(client.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
  const stranger = new Anthropic({ baseURL: base, apiKey: "sk-wrong", maxRetries: 0 });
  await expect(stranger.models.list()).rejects.toThrow(Anthropic.AuthenticationError);
  expect(tap.passed).toEqual([]);
});

test("a path that is not decoded is refused with what to do", async () => {
  await expect(openai().embeddings.create({ model: "e", input: "x" })).rejects.toThrow(
    /connection of kind http/,
  );
  expect(tap.passed).toEqual([]);
});

test("a client that hangs up in a stream ends it upstream, and the frame says that part was heard", async () => {
  tap.instead = (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const event = `data: {"model":"gpt-5","choices":[{"index":0,"delta":{"content":"and"}}]}\n\n`;
    const more = setInterval(() => response.write(event), 20);
    response.once("close", () => clearInterval(more));
    return true;
  };
  const stream = await openai().chat.completions.create({
    model: "gpt-5",
    messages: user("x"),
    stream: true,
  });
  for await (const { model } of stream) {
    expect(model).toBe("gpt-5");
    break;
  }
  tap.instead = undefined;
  await until(() => tap.passed.at(-1)?.cut() === true, "the provider to see that nobody listens");
  await sleep(1_500);
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { sessions } = await readRecording(node.archive);
  const frames = [...sessions.values()].flat().filter((frame) => frame.k === "llm" && frame.dir === "s2c");
  expect(frames).toContainEqual(expect.objectContaining({ read: "part", model: "gpt-5" }));
});

test("the whole record verifies, and holds neither a token nor the provider's key", async () => {
  const { code, out } = await node.cli("verify", node.archive);
  expect([code, out.split(" sessions=")[0]]).toEqual([0, "VALID COMPLETE"]);
  const { everything } = await readRecording(node.archive);
  expect(everything.includes(token)).toBe(false);
  expect(everything.includes("the-providers-key")).toBe(false);
});
