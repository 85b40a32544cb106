import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { canonical } from "#workers/adapters/mcp/catalogue/definition.ts";
import type { JsonObject } from "#workers/wire/json/strict.ts";
import { type Answered, shown } from "./showing.ts";

const json = (text: string, more: ResponseInit & { type?: string } = {}) =>
  new Response(text, {
    ...more,
    headers: { "content-type": more.type ?? "application/json", ...more.headers },
  });
const sse = (text: string) => json(text, { type: "text/event-stream; charset=utf-8" });
const tool = (name: string, more: JsonObject = {}): JsonObject => ({ name, ...more });
const answer = (...tools: JsonObject[]) =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, result: { tools, nextCursor: "next" } });
const refused = async (answered: Promise<Answered>): Promise<string> => {
  const thrown = await answered.catch((cause: unknown) => cause);
  if (!(thrown instanceof Refusal)) throw new Error(`it was not refused: ${JSON.stringify(thrown)}`);
  return `${thrown.code}: ${thrown.message}`;
};

describe("a list", () => {
  test("is without what is denied, and every other byte is as it was", async () => {
    const text =
      '{ "jsonrpc":"2.0", "id":1,\n "result": {"tools": [ {"name":"a"} , {"name":"b"},\t{"name":"c" } ],"x":1.0}}';
    const without = async (...denied: string[]) => (await shown(json(text), { denied })).text;
    const around = (list: string) => `{ "jsonrpc":"2.0", "id":1,\n "result": {"tools": ${list},"x":1.0}}`;
    expect(await without()).toBe(text);
    expect(await without("a")).toBe(around('[ {"name":"b"},\t{"name":"c" } ]'));
    expect(await without("b")).toBe(around('[ {"name":"a"} , {"name":"c" } ]'));
    expect(await without("c")).toBe(around('[ {"name":"a"} , {"name":"b"} ]'));
    expect(await without("b", "c")).toBe(around('[ {"name":"a"} ]'));
    expect(await without("a", "c")).toBe(around('[ {"name":"b"} ]'));
    expect(await without("a", "b", "c")).toBe(around("[  ]"));
  });

  test("has the same items as the server's but for the denied ones, whatever they are", async () => {
    const items = fc.uniqueArray(
      fc.record({
        name: fc.string({ minLength: 1, maxLength: 9 }),
        more: fc.jsonValue({ maxDepth: 2 }),
        no: fc.boolean(),
      }),
      { selector: ({ name }) => name, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(items, async (all) => {
        // As JSON has it: without a minus before a zero.
        const tools = all.map(({ name, more }) => JSON.parse(JSON.stringify({ name, more })) as JsonObject);
        const denied = all.flatMap(({ name, no }) => (no ? [name] : []));
        const { text, frames, learnt } = await shown(json(answer(...tools)), { denied });
        const kept = tools.filter(({ name }) => !denied.includes(name as string));
        expect(JSON.parse(text).result).toEqual(JSON.parse(answer(...kept)).result);
        expect(learnt).toEqual(kept.map(({ name }) => name));
        // From the record, the list as it was sent: what was shown, and what was withheld, each in its place.
        const sent = frames
          .flatMap(({ items = [] }) => items)
          .map(({ text: held, name }) =>
            held === undefined ? kept.find((one) => one["name"] === name) : JSON.parse(String(held)),
          );
        expect(sent).toEqual(JSON.parse(answer(...tools)).result.tools);
      }),
      { numRuns: 100 },
    );
  });

  test("keeps what would be held, and is asked about under the action of its use", async () => {
    const { text, asked } = await shown(json(answer(tool("a"), tool("b"))), { held: ["a"], denied: ["b"] });
    expect(JSON.parse(text).result.tools).toEqual([{ name: "a" }]);
    expect(asked).toMatchObject([
      {
        action: "mcp.tools/call",
        resource: { type: "Tool", id: "tracker/a" },
        context: { changed: false, inspected: true },
      },
      { action: "mcp.tools/call", resource: { type: "Tool", id: "tracker/b" } },
    ]);
  });

  test.each([
    ["prompts", "name", "mcp.prompts/get", "Prompt"],
    ["resources", "uri", "mcp.resources/read", "Resource"],
    ["resourceTemplates", "uriTemplate", "mcp.resources/read", "Resource"],
  ])("of %s is by their %s", async (list, by, action, type) => {
    const text = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      result: { [list]: [{ [by]: "x" }, { [by]: "y" }] },
    });
    const answered = await shown(json(text), { denied: ["x"] });
    expect(JSON.parse(answered.text).result).toEqual({ [list]: [{ [by]: "y" }] });
    expect(answered.asked[0]).toMatchObject({ action, resource: { type, id: "tracker/x" } });
    expect(answered.learnt).toEqual([]);
  });

  test("is known and recorded before a byte of it is shown", async () => {
    expect((await shown(json(answer(tool("a"))))).steps).toEqual(["verdicts", "learn", "record", "shown"]);
  });

  test("says of each tool its digest, what it was to its pin, and the text of what was withheld", async () => {
    const changed = tool("b", { description: "now" });
    const pins = {
      b: { tool: "b", ...canonical(tool("b", { description: "then" })) },
      c: { tool: "c", ...canonical(tool("c")) },
    };
    const { frames } = await shown(json(answer(tool("a"), changed, tool("c"), tool("d"))), {
      pins,
      denied: ["d"],
    });
    expect(frames).toEqual([
      {
        k: "catalogue",
        list: "tools",
        items: [
          { at: 0, name: "a", digest: canonical(tool("a")).digest, pin: "new" },
          { at: 1, name: "b", digest: canonical(changed).digest, pin: "changed" },
          { at: 2, name: "c", digest: canonical(tool("c")).digest },
          { at: 3, name: "d", digest: canonical(tool("d")).digest, withheld: ["no-d"], text: '{"name":"d"}' },
        ],
      },
    ]);
  });

  test("asks by what a tool said of itself when it was pinned", async () => {
    const pins = { a: { tool: "a", ...canonical(tool("a", { annotations: { destructiveHint: true } })) } };
    const now = tool("a", { annotations: { destructiveHint: false, readOnlyHint: true } });
    const [pinned] = (await shown(json(answer(now)), { pins })).asked;
    expect(pinned?.context).toMatchObject({ destructive: true, changed: true });
    expect(pinned?.context["readOnly"]).toBeUndefined();
    const [first] = (await shown(json(answer(now)))).asked;
    expect(first?.context).toMatchObject({ destructive: false, readOnly: true, changed: false });
  });

  test("has its tools under the names of the connection, and no other", async () => {
    const connection = { prefix: "pay_" };
    const { text, frames, asked } = await shown(json(answer(tool("a", { x: { name: "a" } }))), {
      connection,
    });
    expect(JSON.parse(text).result.tools).toEqual([{ name: "pay_a", x: { name: "a" } }]);
    expect(frames[0]?.items).toMatchObject([{ name: "a", as: "pay_a" }]);
    expect(asked[0]?.resource.id).toBe("tracker/a");
    const prompts = JSON.stringify({ jsonrpc: "2.0", id: 1, result: { prompts: [{ name: "p" }] } });
    expect((await shown(json(prompts), { connection })).text).toBe(prompts);
  });

  test("of a connection that keeps no bodies is recorded without what was withheld", async () => {
    const { frames } = await shown(json(answer(tool("a"))), {
      denied: ["a"],
      connection: { bodies: "digest" },
    });
    expect(frames[0]?.items).toEqual([
      { at: 0, name: "a", digest: canonical(tool("a")).digest, withheld: ["no-a"] },
    ]);
  });

  test("has no secret in the record, in what was withheld either", async () => {
    const secret = `ghp_${"a1B2".repeat(9)}`;
    const list = [tool("a", { description: secret }), tool("b", { description: secret }), tool("c")];
    const { frames } = await shown(json(answer(...list)), { denied: ["b"], mask: ["secrets"] });
    expect(JSON.stringify(frames)).not.toContain(secret);
    expect(frames[0]?.items).toMatchObject([
      { hidden: true },
      { hidden: true, withheld: ["no-b"] },
      { name: "c" },
    ]);
    expect(frames[0]?.items?.[2]).not.toHaveProperty("hidden");
  });

  test("that is long is told in as many frames as it takes, and all of it", async () => {
    const many = Array.from({ length: 1_500 }, (_, i) =>
      tool(`tool-${i}`, { description: "ü".repeat(i % 90) }),
    );
    const long = tool("long", { description: "\u0001".repeat(20_000) });
    const { frames } = await shown(json(answer(...many, long)), { denied: ["long"] });
    expect(frames.length).toBeGreaterThan(5);
    const items = frames.flatMap(({ items = [] }) => items);
    expect(items.filter(({ name }) => name !== "long").map(({ at }) => at)).toEqual(many.map((_, i) => i));
    const pieces = items.filter(({ name, at }) => name === "long" && at === 1_500);
    expect(JSON.parse(pieces.map(({ text }) => text).join(""))).toEqual(long);
  });

  test("fits into its frames whatever it is made of", async () => {
    const name = "\u0001".repeat(1_024);
    const long = tool(name, { description: "\u0001".repeat(20_000) });
    const { frames } = await shown(json(answer(long, tool("b"))), {
      denied: [name],
      connection: { prefix: "p".repeat(32) },
    });
    const pieces = frames.flatMap(({ items = [] }) => items).filter(({ at }) => at === 0);
    expect(JSON.parse(pieces.map(({ text }) => text).join(""))).toEqual(long);
  });

  test("in a batch is found in each of its messages", async () => {
    const text = `[${answer(tool("a"))},{"jsonrpc":"2.0","method":"notifications/x"},${answer(tool("b"))}]`;
    const { text: said, asked } = await shown(json(text), { denied: ["b"] });
    expect(JSON.parse(said).map((one: { result?: { tools: unknown[] } }) => one.result?.tools)).toEqual([
      [{ name: "a" }],
      undefined,
      [],
    ]);
    expect(asked).toHaveLength(2);
  });

  test("is found in the answer to anything, and with any status", async () => {
    const call = { kind: "mcp.tools/call", method: "tools/call" } as const;
    expect((await shown(json(answer(tool("a"))), { denied: ["a"], operation: call })).learnt).toEqual([]);
    const failed = await shown(json(answer(tool("a")), { status: 400 }), { denied: ["a"] });
    expect([failed.status, JSON.parse(failed.text).result.tools]).toEqual([400, []]);
    const plain = await shown(json(answer(tool("a")), { type: "text/plain" }), { denied: ["a"] });
    expect(JSON.parse(plain.text).result.tools).toEqual([]);
  });
});

describe("refused is a list", () => {
  const result = (inner: string) => `{"jsonrpc":"2.0","id":1,"result":{${inner}}}`;
  test.each([
    ["of a message that is no JSON", "{", /not JSON/],
    ["with a tool without a name", result('"tools":[{"title":"x"}]'), /no name of 1 to 1,024/],
    ["with a name that is no text", result('"tools":[{"name":1}]'), /no name/],
    ["with an item that is no object", result('"tools":["a"]'), /no name/],
    ["with an empty name", result('"tools":[{"name":""}]'), /no name/],
    ["with a name too long", result(`"tools":[{"name":"${"x".repeat(1_025)}"}]`), /no name/],
    ["with a tool twice", result('"tools":[{"name":"a"},{"name":"a"}]'), /a tool twice/],
    ["that is there twice", result('"tools":[],"tools":[{"name":"a"}]'), /"tools" twice/],
    ["in a result that is there twice", '{"id":1,"result":{"tools":[]},"result":{}}', /"result" twice/],
    ["with a name that is there twice", result('"tools":[{"name":"a","name":"b"}]'), /"name" twice/],
    ["that some would not take for one", result('"Tools":[{"name":"a"}]'), /another name/],
    [
      "in a result that some would not take for one",
      '{"id":1,"Result":{"tools":[{"name":"a"}]}}',
      /another name/,
    ],
    [
      "that nests too deep",
      result(`"tools":[{"name":"a","x":${"[".repeat(200)}${"]".repeat(200)}}]`),
      /deeper/,
    ],
    ["with a definition that is too long", answer(tool("a", { d: "x".repeat(300_000) })), /longer than/],
    ["with too many items", answer(...Array.from({ length: 5_001 }, (_, i) => tool(`${i}`))), /in pages/],
  ])("%s", async (_, text, said) => {
    expect(await refused(shown(json(text)))).toMatch(said);
    const events = await shown(sse(`id: 7\ndata: ${text}\n\ndata: {"jsonrpc":"2.0","method":"after"}\n\n`));
    expect(events.text).toMatch(/^id: 7\ndata: \{"jsonrpc":"2.0","id":1,"error":\{"code":-32000,/);
    expect(JSON.parse(events.text.split("\n")[1]?.slice(6) ?? "").error.message).toMatch(said);
    expect(events.text).toMatch(/\n\ndata: \{"jsonrpc":"2.0","method":"after"\}\n\n$/);
    const kept = events.frames.map((frame) => ("text" in frame ? frame.text : "")).join("");
    expect([events.frames[0], kept === text]).toEqual([
      expect.objectContaining({ unread: expect.any(String) }),
      true,
    ]);
  });

  test("that is no UTF-8, where something in it is withheld", async () => {
    const bytes = Buffer.concat([
      Buffer.from(answer(tool("a")).slice(0, -1)),
      Buffer.from(',"x":"'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);
    const response = new Response(bytes, { headers: { "content-type": "application/json" } });
    expect(await refused(shown(response, { denied: ["a"] }))).toMatch(/not UTF-8/);
  });

  test("in an encoding that was not asked for", async () => {
    expect(await refused(shown(json("x", { headers: { "content-encoding": "gzip" } })))).toMatch(/encoding/);
  });

  test("longer than 16 MB, as JSON and as an event", async () => {
    const long = answer(tool("a", { d: "x".repeat(17 * 1024 * 1024) }));
    expect(await refused(shown(json(long)))).toMatch(/longer than 16 MB/);
    const { text, frames } = await shown(
      sse(`data: {"jsonrpc":"2.0","method":"before"}\n\ndata: ${long}\n\n`),
    );
    expect(text).toMatch(/^data: \{"jsonrpc":"2.0","method":"before"\}\n\ndata: \{.*"error".*16 MB.*\n\n$/);
    expect(frames).toEqual([{ k: "catalogue", unread: "an event is longer than 16 MB" }]);
  });

  test("that cannot be decided upon, learnt or recorded", async () => {
    for (const step of ["verdicts", "known", "learn", "record"] as const) {
      const fails = {
        [step]: () => Promise.reject(new Refusal("not_recorded", "the recorder cannot write")),
      };
      expect(await refused(shown(json(answer(tool("a"))), { fails }))).toMatch(/cannot write/);
      const { text } = await shown(sse(`data: ${answer(tool("a"))}\n\n`), { fails });
      expect(text).toMatch(/"error":.*the recorder cannot write/);
      expect(text).not.toContain('"tools"');
    }
  });
});

describe("what is no list", () => {
  test("passes byte for byte, as JSON and as events in whatever pieces", async () => {
    const said =
      ' {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\\"tools\\":[]}"}],"tools":"x"}}';
    expect((await shown(json(said))).text).toBe(said);
    const stream = `: hello\n\nevent: message\r\ndata: ${said}\r\n\r\ndata\n\ndata:\n\nid: 3\n\ndata: last`;
    expect((await shown(sse(stream))).text).toBe(
      `${stream.slice(0, stream.indexOf("data: last"))}data: {"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"the server's answer cannot be shown: it is not JSON","data":{"refusal":"upstream_protocol"}}}`,
    );
  });

  test("passes where nobody waits for a message: an empty answer, and one to what was told", async () => {
    expect((await shown(new Response(null, { status: 202 }))).status).toBe(202);
    expect((await shown(json(""))).text).toBe("");
    const told = {
      operation: { kind: "mcp.notification", method: "notifications/initialized", id: undefined },
    } as never;
    expect((await shown(json("Accepted", { type: "text/plain", status: 202 }), told)).text).toBe("Accepted");
    expect((await shown(json("<h1>no</h1>", { type: "text/html", status: 502 }))).text).toBe("<h1>no</h1>");
  });

  test("is refused where a client would wait for a message that it is not", async () => {
    expect(await refused(shown(json("<h1>log in</h1>", { type: "text/html" })))).toMatch(/not JSON/);
  });

  test("that nobody waits for and nobody can read is left out of a stream", async () => {
    const stream = { kind: "mcp.stream", method: "", id: undefined } as never;
    const { text, frames } = await shown(sse("id: 4\ndata: {\n\ndata: 1\n\n"), { operation: stream });
    expect(text).toBe("id: 4\ndata: \n\ndata: 1\n\n");
    expect(frames).toEqual([{ k: "catalogue", unread: "it is not JSON", text: "{" }]);
  });
});

test("a list on a stream that was asked for nothing is read as any other", async () => {
  const operation = { kind: "mcp.stream", method: "" } as const;
  const { text, asked } = await shown(sse(`data: ${answer(tool("a"), tool("b"))}\n\n`), {
    operation,
    denied: ["a"],
  });
  expect(JSON.parse(text.slice(6)).result).toEqual({ tools: [{ name: "b" }], nextCursor: "next" });
  expect(asked).toHaveLength(2);
});

test("an answer of another length has no field that says the old one", async () => {
  const headers = { "content-length": "9", etag: "x", "content-digest": "y", "x-own": "z" };
  const response = await shown(json(answer(tool("a")), { headers }), { denied: ["a"] });
  expect(response.headers.get("content-length")).toBe(`${response.text.length}`);
  expect([
    response.headers.get("etag"),
    response.headers.get("content-digest"),
    response.headers.get("x-own"),
  ]).toEqual([null, null, "z"]);
  expect((await shown(sse(": \n\n"))).headers.get("content-length")).toBeNull();
});

describe("a stream that is silent", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test("gives a sign of life, so that who is gone is noticed, and goes on as it was", async () => {
    vi.useFakeTimers();
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const reading = shown(new Response(readable, { headers: { "content-type": "text/event-stream" } }));
    await vi.advanceTimersByTimeAsync(45_000);
    const said = writer.write(new TextEncoder().encode("data: {}\n\n"));
    await vi.advanceTimersByTimeAsync(25_000);
    await said;
    await writer.close();
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await reading).text).toBe(":\n\n:\n\ndata: {}\n\n:\n\n");
  });
});
