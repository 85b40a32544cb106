// MCP through a whole node: the official SDK's client before it, the official SDK's server behind it, the record beside it.
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { endSessions } from "#test/support/git-site.ts";
import { readRecording } from "#test/support/recording.ts";
import { type McpTestServer, SECRET, startMcp } from "#test/support/servers/mcp.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";

const POLICY = `
@id("tools") @mask("secrets") @reason("developers may use the tracker")
permit (principal in Group::"developers", action in Action::"mcp", resource);
@id("no-destroy") @reason("nothing is destroyed here")
forbid (principal, action == Action::"mcp.tools/call", resource) when { resource.name == "destroy" };
@id("no-secrets-out") @reason("not about that")
forbid (principal, action == Action::"mcp.tools/call", resource) when { context.arguments.contains("text=forbidden words") };
`;

let oidc: OidcServer;
let server: McpTestServer;
let node: Node;
let token: string;

beforeAll(async () => {
  [oidc, server] = await Promise.all([startOidc(), startMcp()]);
  node = await startNode({
    issuer: oidc.issuer,
    connections: [{ name: "tracker", kind: "mcp", upstream: server.url }],
    mask: { detectors: [] },
    policies: { "mcp.cedar": POLICY },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
});
beforeEach(() => {
  server.called.length = 0;
});
afterAll(async () => {
  await node?.stop();
  await server?.stop();
  await oidc?.stop();
});

async function connected(
  url: string,
  headers: Record<string, string> = { authorization: `Bearer ${token}` },
) {
  const client = new Client({ name: "cursor", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  await client.connect(transport as Parameters<Client["connect"]>[0]);
  return client;
}
const mcp = () => `${node.gateway()}/mcp-token/tracker`;

describe("the official client", () => {
  test("sees through the gateway what it sees without it, but for what it may not use", async () => {
    const [direct, through] = [await connected(server.url, {}), await connected(mcp())];
    const all = async (client: Client) => ({
      server: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      tools: await client.listTools(),
      resources: await client.listResources(),
      prompts: await client.listPrompts(),
      resource: await client.readResource({ uri: "note://one" }),
      prompt: await client.getPrompt({ name: "review" }),
      echo: await client.callTool({ name: "echo", arguments: { text: "größer" } }),
      wrong: await client.callTool({ name: "nothing", arguments: {} }),
    });
    const own = await all(direct);
    const tools = own.tools.tools.filter(({ name }) => name !== "destroy");
    expect(await all(through)).toEqual({ ...own, tools: { ...own.tools, tools } });
    await Promise.all([direct.close(), through.close()]);
  });

  test("hears of progress while a tool takes its time", async () => {
    const client = await connected(mcp());
    const heard: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => void heard.push(progress);
    await client.callTool({ name: "progress", arguments: {} }, undefined, { onprogress });
    expect(heard).toEqual([1, 2]);
    await client.close();
  });

  test("is told why a tool is refused, as by a tool that failed, and the server never hears of it", async () => {
    const client = await connected(mcp());
    expect(await client.callTool({ name: "destroy", arguments: {} })).toEqual({
      content: [{ type: "text", text: "Refused by the gateway: nothing is destroyed here" }],
      isError: true,
    });
    const said = await client.callTool({ name: "echo", arguments: { text: "forbidden words" } });
    expect(said).toMatchObject({ isError: true });
    expect(server.called).toEqual([]);
    await client.close();
  });

  test("gets no secret that a tool says", async () => {
    const client = await connected(mcp());
    const { content, structuredContent } = await client.callTool({ name: "leak", arguments: {} });
    const masked = "the token is [masked:secrets], as before";
    expect(content).toEqual([{ type: "text", text: masked }]);
    expect(structuredContent).toEqual({ deep: [{ token: masked }] });
    await client.close();
  });
});

describe("an agent that speaks only stdio", () => {
  async function bridged(env: Record<string, string> = {}) {
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [join(import.meta.dirname, "../../scripts/steno.ts"), "mcp", "tracker"],
      env: { PATH: "/usr/bin:/bin", STENO_GATEWAY: node.gateway(), STENO_TOKEN: token, ...env },
      stderr: "pipe",
    });
    const client = new Client({ name: "cursor", version: "1.0.0" });
    await client.connect(transport as Parameters<Client["connect"]>[0]);
    return { client, pid: transport.pid ?? 0 };
  }

  test("sees by steno mcp what it would see over HTTP, and is refused and masked alike", async () => {
    const [through, { client }] = [
      await connected(mcp()),
      await bridged({ CURSOR_CONVERSATION_ID: "stdio" }),
    ];
    const heard: unknown[] = [];
    // The client drops news of a call that has ended, even when it was said before.
    for (const { transport } of [client, through]) {
      const own = transport?.onmessage;
      if (transport)
        transport.onmessage = (message, extra) => {
          if ("method" in message && message.method === "notifications/progress")
            heard.push(message.params?.["progress"]);
          own?.(message, extra);
        };
    }
    const all = async (from: Client) => ({
      server: from.getServerVersion(),
      tools: await from.listTools(),
      resource: await from.readResource({ uri: "note://one" }),
      echo: await from.callTool({ name: "echo", arguments: { text: "größer\n" } }),
      denied: await from.callTool({ name: "destroy", arguments: {} }),
      masked: await from.callTool({ name: "leak", arguments: {} }),
      progress: await from.callTool({ name: "progress", arguments: {} }, undefined, {
        onprogress: () => undefined,
      }),
    });
    expect(await all(client)).toEqual(await all(through));
    expect(heard).toEqual([1, 2, 1, 2]);
    expect(server.called).not.toContain("destroy");
    await Promise.all([client.close(), through.close()]);
  });

  test("can lose its bridge by kill -9 and start another", async () => {
    const first = await bridged();
    const closed = new Promise<void>((resolve) => {
      first.client.onclose = resolve;
    });
    process.kill(first.pid, "SIGKILL");
    await closed;
    const second = await bridged();
    expect(await second.client.callTool({ name: "echo", arguments: { text: "again" } })).toEqual({
      content: [{ type: "text", text: "again" }],
    });
    await second.client.close();
  });
});

test("who is unknown is led to where they can sign in, at /mcp/ alone", async () => {
  const ask = (path: string) => fetch(`${node.gateway()}${path}`, { method: "POST", body: "{}" });
  const [signed, held] = [await ask("/mcp/tracker"), await ask("/mcp-token/tracker")];
  expect([signed.status, held.status, held.headers.get("www-authenticate")]).toEqual([401, 401, null]);
  const metadata =
    /resource_metadata="([^"]+)"/.exec(signed.headers.get("www-authenticate") ?? "")?.[1] ?? "";
  expect(await (await fetch(metadata)).json()).toEqual({
    resource: `${node.gateway()}/mcp/tracker`,
    authorization_servers: [oidc.issuer],
    bearer_methods_supported: ["header"],
  });
});

test("a session of the server's is whoever's opened it", async () => {
  const post = (as: string, id: string, method: string) =>
    fetch(mcp(), {
      method,
      headers: {
        authorization: `Bearer ${as}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-session-id": id,
      },
      ...(method === "POST" && { body: JSON.stringify({ jsonrpc: "2.0", id: 5, method: "tools/list" }) }),
    });
  const client = await connected(mcp());
  const id = (client.transport as { readonly sessionId?: string }).sessionId ?? "";
  const bob = await oidc.token({ sub: "bob", audience: "steno" });
  for (const method of ["POST", "GET", "DELETE"]) {
    const response = await post(bob, id, method);
    expect([method, response.status]).toEqual([method, 404]);
    expect(await response.json()).toMatchObject({ error: { data: { refusal: "not_yours" } } });
  }
  expect((await post(token, "made-up", "POST")).status).toBe(404);
  expect((await post(token, id, "POST")).status).toBe(200);
  await client.close();
});

test("two agents at once are two sessions", async () => {
  const headers = (conversation: string) => ({
    authorization: `Bearer ${token}`,
    "steno-conversation": conversation,
  });
  const clients = await Promise.all(["one", "two"].map((name) => connected(mcp(), headers(name))));
  await Promise.all(
    clients.map((client, i) => client.callTool({ name: "echo", arguments: { text: `agent ${i}` } })),
  );
  await Promise.all(clients.map((client) => client.close()));
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { sessions } = await readRecording(node.archive);
  const conversations = [...sessions.values()].map(
    ([first]) => first?.k === "session.start" && first.conversation,
  );
  expect(conversations).toEqual(expect.arrayContaining(["one", "two", "stdio"]));
});

test("the record says which tool was called and what came of it, never what was said, and verifies", async () => {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { sessions, everything } = await readRecording(node.archive);
  const frames = [...sessions.values()].flat().flatMap((frame) => (frame.k === "mcp" ? [frame] : []));
  const messages = frames.flatMap((frame) => frame.messages);
  expect(messages).toContainEqual(expect.objectContaining({ method: "tools/call", name: "echo" }));
  expect(
    frames.some(({ dir, messages: said }) => dir === "s2c" && said.some(({ id }) => id !== undefined)),
  ).toBe(true);
  expect(JSON.stringify(frames)).not.toContain("größer");
  expect(everything.includes(SECRET)).toBe(false);
  expect(everything.includes(token)).toBe(false);
  const { code, out } = await node.cli("verify", node.archive);
  // Those whose clients say a conversation, in which no hook spoke of the call; nothing else is wrong or missing.
  const lines = out.trim().split("\n");
  expect(new Set(lines.slice(0, -1).map((line) => line.split(" ")[0]))).toEqual(
    new Set(["session_unhooked"]),
  );
  expect([code, lines.at(-1)?.split(" sessions=")[0]]).toEqual([1, "VALID DEGRADED"]);
});
