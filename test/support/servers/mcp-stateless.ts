// The conformance suite's server in the stateless era: the official SDK of 2026-07-28.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer, ResourceTemplate } from "@modelcontextprotocol/server";
import { z } from "zod";
import type { SuiteServer } from "./mcp-sessions.ts";
import { isLocal, PLAIN_TOOLS, PROMPTS, RESOURCES, TEMPLATE, templated } from "./mcp-suite.ts";

function serverOf(): McpServer {
  const capabilities = { logging: {}, tools: {}, resources: { subscribe: true }, prompts: {} };
  const server = new McpServer({ name: "suite", version: "1.0.0" }, { capabilities });
  for (const [name, result] of Object.entries(PLAIN_TOOLS))
    server.registerTool(name, { description: name }, async () => result);
  server.registerTool("test_tool_with_progress", { description: "progress" }, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
      const params = { progressToken: progressToken as string, progress, total: 100 };
      await mcpReq.notify({ method: "notifications/progress", params });
      await sleep(50);
    }
    return { content: [{ type: "text" as const, text: "done" }] };
  });
  for (const [uri, resource] of Object.entries(RESOURCES))
    server.registerResource(uri, uri, { description: uri, mimeType: resource.mimeType }, async () => ({
      contents: [{ uri, ...resource }],
    }));
  const template = new ResourceTemplate(TEMPLATE, { list: undefined });
  const about = { description: "data", mimeType: "application/json" };
  server.registerResource("data", template, about, async (uri, { id }) => ({
    contents: [{ uri: uri.href, mimeType: "application/json", text: templated(String(id)) }],
  }));
  for (const [name, { takes, gives }] of Object.entries(PROMPTS)) {
    const argsSchema = z.object(Object.fromEntries(takes.map((one) => [one, z.string()])));
    if (takes.length === 0) server.registerPrompt(name, { description: name }, async () => gives({}));
    else server.registerPrompt(name, { description: name, argsSchema }, async (given) => gives(given));
  }
  return server;
}

export async function startStatelessServer(): Promise<SuiteServer> {
  const answer = toNodeHandler(createMcpHandler(serverOf));
  const server = createServer((request, response) => {
    const { host, origin } = request.headers;
    if (isLocal(host, origin)) void answer(request as Parameters<typeof answer>[0], response);
    else response.writeHead(403).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
