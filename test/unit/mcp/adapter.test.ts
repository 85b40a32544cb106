import { describe, expect, test } from "vitest";
import type { ConnectionName } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { adapterContract, type Example, incomingOf, sound } from "#test/unit/adapter-contract.ts";
import { mcpAdapter } from "#workers/adapters/mcp/adapter.ts";

const connection = { name: "tracker" as ConnectionName, kind: "mcp", bodies: "full" } as const;
const bytes = (json: unknown) => new Uint8Array(new TextEncoder().encode(JSON.stringify(json)));
const message = (json: object, headers: Record<string, string> = {}): Example => ({
  name: JSON.stringify(json).slice(0, 60),
  method: "POST",
  path: "/",
  query: "",
  headers: {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
    ...headers,
  },
  body: bytes({ jsonrpc: "2.0", ...json }),
});
const call = (name: string, args: object = {}, headers: Record<string, string> = {}) =>
  message({ id: 7, method: "tools/call", params: { name, arguments: args } }, headers);
const bare = (method: string): Example => ({ ...message({}), name: method, method, body: undefined });

adapterContract(mcpAdapter, connection, [
  message({ id: 1, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {} } }),
  message({ method: "notifications/initialized" }),
  message({ id: "a", method: "tools/list" }),
  call("create_issue", { title: "x", labels: ["bug", 3], deep: { er: true } }),
  message({ id: 3, method: "resources/read", params: { uri: "file:///a" } }),
  message({ id: 4, method: "prompts/get", params: { name: "review" } }),
  message({ id: 9, result: { roots: [] } }),
  bare("GET"),
  bare("DELETE"),
]);

const inspect = (example: Example) => sound(mcpAdapter.inspect(incomingOf(example, connection)));
const refusal = async (example: Example): Promise<string> => {
  const thrown = await inspect(example).catch((cause: unknown) => cause);
  if (!(thrown instanceof Refusal)) throw new Error("it was not refused");
  return thrown.message;
};

test("a call is decided upon by its tool, with its arguments' scalars by their path", async () => {
  const { operation, questions, frames } = await inspect(
    call("create_issue", { title: "x", labels: ["bug", 3], deep: { er: true } }),
  );
  expect(operation).toEqual({
    kind: "mcp.tools/call",
    method: "tools/call",
    id: 7,
    name: "create_issue",
    version: "2025-11-25",
  });
  expect(questions).toMatchObject([
    {
      action: "mcp.tools/call",
      resource: { type: "Tool", id: "tracker/create_issue", within: { type: "Server", id: "tracker" } },
      context: {
        arguments: ["title=x", "labels.0=bug", "labels.1=3", "deep.er=true"],
        changed: false,
        version: "2025-11-25",
      },
    },
  ]);
  expect(frames).toEqual([
    {
      k: "mcp",
      input: expect.stringMatching(/^[0-9a-f]{64}$/),
      dir: "c2s",
      read: "all",
      messages: [{ id: 7, method: "tools/call", name: "create_issue", size: expect.any(Number) }],
    },
  ]);
});

test.each([
  [{ id: 1, method: "tools/list" }, "mcp.tools/list"],
  [{ method: "notifications/cancelled" }, "mcp.notification"],
  [{ id: 1, method: "tasks/get" }, "mcp.tasks"],
  [{ id: 1, method: "something/new" }, "mcp.other"],
  [{ id: 1, error: { code: -1, message: "no" } }, "mcp.reply"],
  [{ method: "tools/call", params: {} }, "mcp.notification"],
])("%j is %s", async (json, kind) => {
  expect((await inspect(message(json))).operation.kind).toBe(kind);
});

describe("refused is", () => {
  test.each([
    ["a batch", [{ jsonrpc: "2.0", id: 1, method: "ping" }], /send one message/],
    ["another version of JSON-RPC", { jsonrpc: "1.0", id: 1, method: "ping" }, /"jsonrpc": "2.0"/],
    ["an id that is an object", { jsonrpc: "2.0", id: {}, method: "ping" }, /a string or a whole number/],
    ["an id that is null", { jsonrpc: "2.0", id: null, method: "ping" }, /a string or a whole number/],
    ["a call of nothing", { jsonrpc: "2.0", id: 1, method: "tools/call", params: {} }, /params.name/],
    ["params that are a list", { jsonrpc: "2.0", id: 1, method: "ping", params: [] }, /params is an object/],
    ["neither a question nor an answer", { jsonrpc: "2.0", id: 1 }, /a method, or an id/],
  ])("%s", async (_, json, said) => {
    expect(await refusal({ ...call("x"), body: bytes(json) })).toMatch(said);
  });

  test("a tool named twice", async () => {
    const text = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}';
    expect(await refusal({ ...call("x"), body: new Uint8Array(Buffer.from(text)) })).toMatch(/"name" twice/);
  });

  test("a header that says otherwise than the message", async () => {
    expect(await refusal(call("a", {}, { "mcp-method": "tools/list" }))).toMatch(/Mcp-Method/);
    expect(await refusal(call("a", {}, { "mcp-name": "b" }))).toMatch(/Mcp-Name/);
    expect(await refusal(call("a", {}, { "mcp-name": "=?base64?Yg==?=" }))).toMatch(/Mcp-Name/);
    const encoded = { "mcp-method": "tools/call", "mcp-name": "=?base64?YQ==?=" };
    expect((await inspect(call("a", {}, encoded))).operation.name).toBe("a");
  });

  test("a path below the server, and a revision that nobody knows", async () => {
    expect(await refusal({ ...call("a"), path: "/sse" })).toMatch(/one address/);
    expect(await refusal(call("a", {}, { "mcp-protocol-version": "latest" }))).toMatch(/not known here/);
  });
});

describe("a no", () => {
  const said = async (example: Example, refused: Refusal, url?: string) => {
    const { operation } = await inspect(example);
    const incoming = incomingOf(example, connection);
    const request = url === undefined ? incoming.request : new Request(url, { method: "POST", body: "{}" });
    const response = mcpAdapter.refuse(refused, { ...incoming, request }, operation);
    return {
      status: response.status,
      challenge: response.headers.get("www-authenticate"),
      body: await response.json(),
    };
  };

  test("to a tool's call is a result that failed, which the model reads", async () => {
    expect(await said(call("rm"), new Refusal("denied", "not this tool"))).toMatchObject({
      status: 200,
      body: {
        id: 7,
        result: { isError: true, content: [{ type: "text", text: "Refused by the gateway: not this tool" }] },
      },
    });
  });

  test("to anything else is an error of JSON-RPC with the request's id", async () => {
    expect(
      await said(message({ id: "a", method: "tools/list" }), new Refusal("denied", "no lists")),
    ).toMatchObject({
      status: 200,
      body: { id: "a", error: { code: -32000, message: "no lists", data: { refusal: "denied" } } },
    });
    expect((await said(bare("GET"), new Refusal("denied", "no"))).status).toBe(405);
  });

  test("to somebody unknown leads to where they can sign in, and at /mcp-token/ does not", async () => {
    const stranger = new Refusal("unauthenticated", "a token is needed");
    const metadata = 'Bearer resource_metadata="http://gw/.well-known/oauth-protected-resource/mcp/tracker"';
    expect(await said(call("x"), stranger, "http://gw/mcp/tracker")).toMatchObject({
      status: 401,
      challenge: metadata,
    });
    expect(await said(call("x"), stranger, "http://gw/mcp-token/tracker")).toMatchObject({
      status: 401,
      challenge: null,
    });
  });
});
