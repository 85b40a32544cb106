// An MCP server by the official SDK's low-level server: what it lists is what a test says, in pages, as JSON or as events.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";

export type Tool = {
  name: string;
  description?: string;
  annotations?: Record<string, boolean | string>;
  inputSchema: { type: "object"; properties?: Record<string, object> };
};

export interface CatalogueServer {
  readonly url: string;
  /** What it lists from now on. */
  tools: Tool[];
  /** Tools that were called, with the name the server was asked by. */
  readonly called: string[];
  /** What is answered instead of the next answer to a POST, whatever was asked. */
  raw: { readonly type: string; readonly body: string; readonly status?: number } | undefined;
  /** What was asked where that was answered raw. */
  asked: { readonly headers: IncomingHttpHeaders; readonly body: string } | undefined;
  stop(): Promise<void>;
}

const PAGE = 2;

export async function startCatalogue(tools: Tool[], json = false): Promise<CatalogueServer> {
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const self: CatalogueServer = { url: "", tools, called: [], raw: undefined, asked: undefined, stop };
  const open = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      enableJsonResponse: json,
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    await serverOf(self).connect(transport as Parameters<Server["connect"]>[0]);
    return transport;
  };
  const server = createServer((request, response) => {
    void (async () => {
      const { raw } = self;
      if (raw && request.method === "POST") {
        self.raw = undefined;
        self.asked = { headers: request.headers, body: Buffer.concat(await request.toArray()).toString() };
        response.writeHead(raw.status ?? 200, { "content-type": raw.type }).end(raw.body);
        return;
      }
      // It says nothing by itself, so it has no stream for that.
      if (request.method === "GET") return void response.writeHead(405).end();
      const id = request.headers["mcp-session-id"];
      const transport = typeof id === "string" ? transports.get(id) : await open();
      if (!transport) response.writeHead(404).end();
      else await transport.handleRequest(request, response);
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(self, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp` });

  async function stop() {
    for (const transport of transports.values()) await transport.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function serverOf(self: CatalogueServer): Server {
  const capabilities = { tools: { listChanged: true }, prompts: {}, resources: {} };
  const server = new Server({ name: "catalogue", version: "1.0.0" }, { capabilities });
  server.setRequestHandler(ListToolsRequestSchema, ({ params }) => {
    const at = Number(params?.cursor ?? 0);
    const next = at + PAGE;
    const more = next < self.tools.length ? { nextCursor: String(next) } : {};
    return { tools: self.tools.slice(at, next), ...more } as never;
  });
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
    self.called.push(params.name);
    return { content: [{ type: "text", text: `${params.name} was called` }] };
  });
  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: [{ name: "review" }, { name: "secret-prompt" }],
  }));
  server.setRequestHandler(GetPromptRequestSchema, () => ({ messages: [] }));
  server.setRequestHandler(ListResourcesRequestSchema, () => ({
    resources: [
      { uri: "note://open", name: "open" },
      { uri: "note://closed", name: "closed" },
    ],
  }));
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [
      { uriTemplate: "note://{id}", name: "notes" },
      { uriTemplate: "closed://{id}", name: "closed" },
    ],
  }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => ({
    contents: [{ uri: params.uri, text: "a note" }],
  }));
  return server;
}
