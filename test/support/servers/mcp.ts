// An MCP server by the official SDK: Streamable HTTP with sessions, tools that answer, fail and say too much.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

export interface McpTestServer {
  /** The server's one address. */
  readonly url: string;
  /** Names of the tools that were called, in order. */
  readonly called: string[];
  stop(): Promise<void>;
}

export const SECRET = `ghp_${"a1B2".repeat(9)}`;

export async function startMcp(): Promise<McpTestServer> {
  const called: string[] = [];
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const open = async (): Promise<StreamableHTTPServerTransport> => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    await serverOf(called).connect(transport as Parameters<McpServer["connect"]>[0]);
    return transport;
  };
  const server = createServer((request, response) => {
    void (async () => {
      const id = request.headers["mcp-session-id"];
      const transport = typeof id === "string" ? transports.get(id) : await open();
      if (request.url !== "/mcp" || !transport) response.writeHead(404).end();
      else await transport.handleRequest(request, response);
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    called,
    async stop() {
      for (const transport of transports.values()) await transport.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serverOf(called: string[]): McpServer {
  const server = new McpServer({ name: "tracker", version: "1.0.0" });
  const text = (said: string) => ({ content: [{ type: "text" as const, text: said }] });
  server.registerTool(
    "echo",
    { description: "Says it again", inputSchema: { text: z.string() } },
    ({ text: said }) => {
      called.push("echo");
      return text(said);
    },
  );
  server.registerTool("leak", { description: "Says too much" }, () => {
    called.push("leak");
    const said = `the token is ${SECRET}, as before`;
    return { ...text(said), structuredContent: { deep: [{ token: said }] } };
  });
  server.registerTool("destroy", { description: "Deletes everything" }, () => {
    called.push("destroy");
    return text("gone");
  });
  server.registerTool("progress", { description: "Takes its time" }, async ({ sendNotification, _meta }) => {
    called.push("progress");
    const progressToken = _meta?.progressToken ?? 0;
    for (const progress of [1, 2])
      await sendNotification({
        method: "notifications/progress",
        params: { progressToken, progress, total: 2 },
      });
    return text("done");
  });
  server.registerResource("note", "note://one", {}, (uri) => ({
    contents: [{ uri: uri.href, text: "a note" }],
  }));
  server.registerPrompt("review", {}, () => ({
    messages: [{ role: "user", content: { type: "text", text: "Review it" } }],
  }));
  return server;
}
