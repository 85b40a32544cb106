// What an MCP server says by itself, piece by piece or once more: it reaches the client masked, and stands in the record.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { endSessions } from "#test/support/git-site.ts";
import { type Recording, readRecording } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { SECRET } from "#test/support/servers/mcp.ts";
import { type AskingServer, event, startAsking } from "#test/support/servers/mcp-asking.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";

const POLICY = `
@id("all") @mask("secrets") @reason("developers may")
permit (principal in Group::"developers", action in Action::"mcp", resource);
`;

let oidc: OidcServer;
let server: AskingServer;
let node: Node;
let token: string;

beforeAll(async () => {
  [oidc, server] = await Promise.all([startOidc(), startAsking()]);
  node = await startNode({
    issuer: oidc.issuer,
    connections: [{ name: "asking", kind: "mcp", upstream: server.url }],
    mask: { detectors: [] },
    policies: { "mcp.cedar": POLICY },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
});
beforeEach(() => {
  server.listen = undefined;
});
afterAll(async () => {
  await node?.stop();
  await server?.stop();
  await oidc?.stop();
});

const mcp = () => `${node.gateway()}/mcp-token/asking`;
const fields = () => ({
  authorization: `Bearer ${token}`,
  "user-agent": "raw/1",
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": "2025-11-25",
});

const post = (message: object, signal?: AbortSignal) =>
  fetch(mcp(), {
    method: "POST",
    headers: fields(),
    body: JSON.stringify({ jsonrpc: "2.0", ...message }),
    ...(signal && { signal }),
  });
const call = (name: string, signal?: AbortSignal, more: object = {}) =>
  post({ id: 1, method: "tools/call", params: { name, arguments: {}, ...more } }, signal);

/** What is sent until `end` is in it. */
async function readTo(response: Response, end: string): Promise<string> {
  let text = "";
  for await (const piece of response.body ?? []) {
    text += Buffer.from(piece).toString();
    if (text.includes(end)) return text;
  }
  throw new Error(`it ended with ${text}`);
}

let recording: Recording | undefined;
/** Of all that was done until it is asked for first; then the sessions are over. */
async function recorded(): Promise<Recording> {
  if (!recording) {
    await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
    recording = await readRecording(node.archive);
  }
  return recording;
}

test("a server asks its client for a model's word, a form and its roots, and hears the answers without secrets", async () => {
  server.tools["ask"] = async ({ id }, say) => {
    const message = { role: "user", content: { type: "text", text: "what now?" } };
    const form = { type: "object", properties: { name: { type: "string" } } };
    const asked = {
      "sampling/createMessage": { messages: [message], maxTokens: 5 },
      "elicitation/create": { mode: "form", message: `is ${SECRET} yours?`, requestedSchema: form },
      "roots/list": {},
    };
    for (const [method, params] of Object.entries(asked)) say.write(event({ id: method, method, params }));
    const heard = await Promise.all(Object.keys(asked).map((method) => server.answer(method)));
    say.end(event({ id, result: { content: [{ type: "text", text: JSON.stringify(heard) }] } }));
  };
  const client = new Client(
    { name: "cursor", version: "1.0.0" },
    { capabilities: { sampling: {}, elicitation: {}, roots: {} } },
  );
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: "m",
    role: "assistant",
    content: { type: "text", text: `use ${SECRET}` },
  }));
  let shown = "";
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    shown = params.message;
    return { action: "accept", content: { name: "alice" } };
  });
  client.setRequestHandler(ListRootsRequestSchema, () => ({
    roots: [{ uri: "file:///work", name: "work" }],
  }));
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  const transport = new StreamableHTTPClientTransport(new URL(mcp()), { requestInit });
  await client.connect(transport as Parameters<Client["connect"]>[0]);
  const { content } = (await client.callTool({ name: "ask", arguments: {} })) as {
    readonly content: readonly { readonly text: string }[];
  };
  expect(shown).toBe("is [masked:secrets] yours?");
  const heard = JSON.parse(content[0]?.text ?? "") as unknown[];
  expect(heard).toEqual([
    { model: "m", role: "assistant", content: { type: "text", text: "use [masked:secrets]" } },
    { action: "accept", content: { name: "alice" } },
    { roots: [{ uri: "file:///work", name: "work" }] },
  ]);
  expect(JSON.stringify(await server.answer("sampling/createMessage"))).not.toContain(SECRET);
  await client.close();
});

test("a secret is masked wherever its event is cut", async () => {
  const message = { id: 1, result: { structuredContent: { deep: [{ token: `it is ${SECRET}.` }] } } };
  const text = event(message);
  const at = text.indexOf(SECRET);
  for (const cut of [at - 8, at, at + 1, at + 4, at + 20, at + SECRET.length - 1, at + SECRET.length]) {
    server.tools["split"] = async (_, say) => {
      say.write(text.slice(0, cut));
      await sleep(15);
      say.end(text.slice(cut));
    };
    const said = await (await call("split")).text();
    expect(said).toBe(text.replace(SECRET, "[masked:secrets]"));
  }
});

test("a stream that its client broke off is resumed after the last event, masked and recorded as well", async () => {
  const progress = { method: "notifications/progress", params: { progressToken: 1, progress: 1 } };
  server.tools["slow"] = (_, say) => void say.write(event(progress, "e-1"));
  const off = new AbortController();
  expect(await readTo(await call("slow", off.signal), "\n\n")).toBe(event(progress, "e-1"));
  off.abort();
  const rest = event({ id: 1, result: { content: [{ type: "text", text: `here is ${SECRET}` }] } }, "e-2");
  let after: unknown;
  server.listen = (say, { headers }) => {
    after = headers["last-event-id"];
    say.end(rest);
  };
  const resumed = await fetch(mcp(), { headers: { ...fields(), "last-event-id": "e-1" } });
  expect(await resumed.text()).toBe(rest.replace(SECRET, "[masked:secrets]"));
  expect(after).toBe("e-1");
});

test("a client that goes in the midst of an answer leaves the server free", async () => {
  let gone = false;
  server.tools["endless"] = async (_, say) => {
    say.on("close", () => {
      gone = true;
    });
    for (let n = 0; !say.destroyed; n++) {
      say.write(event({ method: "notifications/progress", params: { progressToken: 1, progress: n } }));
      await sleep(20);
    }
  };
  const off = new AbortController();
  await readTo(await call("endless", off.signal), '"progress":3');
  off.abort();
  await until(() => gone, "the server to be let go");
});

test("tasks pass as they are", async () => {
  const task = { taskId: "t-1", status: "working", ttl: 60_000, createdAt: "2026-01-01T00:00:00Z" };
  server.tools["long"] = ({ id, params }, say) =>
    void say.end(event({ id, result: { task: { ...task, ...(params?.["task"] as object | undefined) } } }));
  server.methods["tasks/get"] = ({ taskId }) => ({ ...task, taskId, status: "completed" });
  server.methods["tasks/result"] = () => ({ content: [{ type: "text", text: `done: ${SECRET}` }] });
  expect(await (await call("long", undefined, { task: { ttl: 5 } })).text()).toBe(
    event({ id: 1, result: { task: { ...task, ttl: 5 } } }),
  );
  const got = await post({ id: 2, method: "tasks/get", params: { taskId: "t-1" } });
  expect(await got.json()).toMatchObject({ id: 2, result: { taskId: "t-1", status: "completed" } });
  const result = await post({ id: 3, method: "tasks/result", params: { taskId: "t-1" } });
  expect(await result.json()).toMatchObject({ result: { content: [{ text: "done: [masked:secrets]" }] } });
});

test("each of it is in the record: who asked whom, what was resumed, what was cut, and no secret", async () => {
  const { sessions, exchanges, everything } = await recorded();
  const said = [...sessions.values()].flat().flatMap((frame) => (frame.k === "mcp" ? [frame] : []));
  const heard = (dir: string) => said.filter((one) => one.dir === dir).flatMap(({ messages }) => messages);
  for (const method of ["sampling/createMessage", "elicitation/create", "roots/list"]) {
    expect(heard("s2c")).toContainEqual(expect.objectContaining({ method, id: method }));
    expect(heard("c2s")).toContainEqual(expect.objectContaining({ id: method }));
  }
  const kinds = [...exchanges.values()].map(({ request, answered }) => [
    request.operation.kind,
    answered.end,
  ]);
  // The stream that was resumed, and the one that never ended.
  expect(kinds.filter(([kind, end]) => kind === "mcp.tools/call" && end === "cut")).toHaveLength(2);
  expect(kinds.filter(([kind]) => kind === "mcp.stream")).toContainEqual(["mcp.stream", "complete"]);
  expect(kinds.filter(([kind]) => kind === "mcp.tasks")).toHaveLength(2);
  expect(everything.includes(SECRET)).toBe(false);
  const { code, out } = await node.cli("verify", node.archive);
  expect([code, out.trim().split("\n").at(-1)?.split(" sessions=")[0]]).toEqual([0, "VALID COMPLETE"]);
});
