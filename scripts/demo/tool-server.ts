/** An MCP server on loopback by the official SDK: an issue tracker with one tool. */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

export interface ToolServer {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startToolServer(): Promise<ToolServer> {
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const open = async (): Promise<StreamableHTTPServerTransport> => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    await tracker().connect(transport as Parameters<McpServer["connect"]>[0]);
    return transport;
  };
  const server = createServer((request, response) => {
    void (async () => {
      const id = request.headers["mcp-session-id"];
      const transport = typeof id === "string" ? transports.get(id) : await open();
      if (!transport) response.writeHead(404).end();
      else await transport.handleRequest(request, response);
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    async stop() {
      for (const transport of transports.values()) await transport.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function tracker(): McpServer {
  const server = new McpServer({ name: "tracker", version: "1.0.0" });
  server.registerTool(
    "find_issue",
    { description: "Finds an issue by its words", inputSchema: { words: z.string() } },
    ({ words }) => ({ content: [{ type: "text", text: `#17 ${words}: open, wanted by everybody` }] }),
  );
  return server;
}
