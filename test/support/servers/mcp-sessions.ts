// The conformance suite's server in the era of sessions: the official SDK of 2025-11-25, with streams that can be resumed.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import {
  type EventStore,
  StreamableHTTPServerTransport,
} from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import * as mcp from "@modelcontextprotocol/sdk/types.js";
import { isLocal, PLAIN_TOOLS, PROMPTS, RESOURCES, TEMPLATE, templated } from "./mcp-suite.ts";

export interface SuiteServer {
  readonly url: string;
  stop(): Promise<void>;
}

type Extra = RequestHandlerExtra<mcp.ServerRequest, mcp.ServerNotification>;
type Given = Readonly<Record<string, unknown>>;
type Tool = { readonly takes: object; readonly answer: (given: Given, extra: Extra) => Promise<object> };

const text = (said: string): object => ({ content: [{ type: "text", text: said }] });
const takes = (properties: object, ...required: string[]): object => ({
  type: "object",
  properties,
  required,
});

async function elicited(extra: Extra, message: string, schema: object, label = "Elicitation completed") {
  const params = { message, requestedSchema: schema } as mcp.ElicitRequestFormParams;
  const { action, content } = await extra.sendRequest(
    { method: "elicitation/create", params },
    mcp.ElicitResultSchema,
  );
  return text(`${label}: action=${action}, content=${JSON.stringify(content ?? {})}`);
}

const options = (word: string): string[] => [1, 2, 3].map((n) => `${word}${n}`);
const titled = (word: string) =>
  ["First", "Second", "Third"].map((title, i) => ({ const: `value${i + 1}`, title: `${title} ${word}` }));

const TOOLS: Readonly<Record<string, Tool>> = {
  ...Object.fromEntries(
    Object.entries(PLAIN_TOOLS).map(([name, result]) => [
      name,
      { takes: takes({}), answer: async () => result },
    ]),
  ),
  test_tool_with_logging: {
    takes: takes({}),
    async answer(_, { sendNotification }) {
      for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
        await sendNotification({ method: "notifications/message", params: { level: "info", data } });
        await sleep(50);
      }
      return text("logged");
    },
  },
  test_tool_with_progress: {
    takes: takes({}),
    async answer(_, { sendNotification, _meta: meta }) {
      const progressToken = meta?.progressToken;
      for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
        const params = { progressToken: progressToken as string, progress, total: 100 };
        await sendNotification({ method: "notifications/progress", params });
        await sleep(50);
      }
      return text(String(progressToken));
    },
  },
  test_sampling: {
    takes: takes({ prompt: { type: "string" } }, "prompt"),
    async answer({ prompt }, { sendRequest }) {
      const content = { type: "text" as const, text: String(prompt) };
      const params = { messages: [{ role: "user" as const, content }], maxTokens: 100 };
      const sampled = await sendRequest(
        { method: "sampling/createMessage", params },
        mcp.CreateMessageResultSchema,
      );
      return text(`LLM response: ${sampled.content.type === "text" ? sampled.content.text : ""}`);
    },
  },
  test_elicitation: {
    takes: takes({ message: { type: "string" } }, "message"),
    answer: ({ message }, extra) =>
      elicited(
        extra,
        String(message),
        takes(
          {
            username: { type: "string", description: "User's response" },
            email: { type: "string", description: "User's email address" },
          },
          "username",
          "email",
        ),
        "User response",
      ),
  },
  test_elicitation_sep1034_defaults: {
    takes: takes({}),
    answer: (_, extra) =>
      elicited(
        extra,
        "defaults",
        takes({
          name: { type: "string", default: "John Doe" },
          age: { type: "integer", default: 30 },
          score: { type: "number", default: 95.5 },
          status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
          verified: { type: "boolean", default: true },
        }),
      ),
  },
  test_elicitation_sep1330_enums: {
    takes: takes({}),
    answer: (_, extra) =>
      elicited(
        extra,
        "enums",
        takes({
          untitledSingle: { type: "string", enum: options("option") },
          titledSingle: { type: "string", oneOf: titled("Option") },
          legacyEnum: {
            type: "string",
            enum: options("opt"),
            enumNames: ["Option One", "Option Two", "Option Three"],
          },
          untitledMulti: { type: "array", items: { type: "string", enum: options("option") } },
          titledMulti: { type: "array", items: { anyOf: titled("Choice") } },
        }),
      ),
  },
  json_schema_2020_12_tool: {
    takes: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: {
        address: { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } },
      },
      properties: { name: { type: "string" }, address: { $ref: "#/$defs/address" } },
      additionalProperties: false,
    },
    answer: async () => text("ok"),
  },
  test_reconnection: {
    takes: takes({}),
    async answer(_, extra) {
      await sleep(100);
      extra.closeSSEStream?.();
      await sleep(300);
      return text("Reconnection test completed successfully");
    },
  },
};

function serverOf(): Server {
  const capabilities = {
    tools: { listChanged: true },
    resources: { subscribe: true },
    prompts: {},
    logging: {},
    completions: {},
  };
  const server = new Server({ name: "suite", version: "1.0.0" }, { capabilities });
  const on = server.setRequestHandler.bind(server);
  on(mcp.ListToolsRequestSchema, () => ({
    tools: Object.entries(TOOLS).map(([name, { takes: inputSchema }]) => ({
      name,
      description: name,
      inputSchema: inputSchema as { type: "object" },
    })),
  }));
  on(mcp.CallToolRequestSchema, async ({ params }, extra) => {
    const tool = TOOLS[params.name];
    if (!tool) throw new mcp.McpError(mcp.ErrorCode.InvalidParams, "Unknown tool");
    try {
      return (await tool.answer(params.arguments ?? {}, extra as Extra)) as mcp.CallToolResult;
    } catch (cause) {
      return { isError: true, content: [{ type: "text", text: String(cause) }] };
    }
  });
  on(mcp.ListResourcesRequestSchema, () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({
      ...{ uri, name: uri, description: uri, mimeType },
    })),
  }));
  on(mcp.ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: TEMPLATE, name: "data", description: "data" }],
  }));
  on(mcp.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
    if (id !== undefined) return { contents: [{ uri, mimeType: "application/json", text: templated(id) }] };
    const known = RESOURCES[uri as keyof typeof RESOURCES];
    if (!known) throw new mcp.McpError(-32002, "Resource not found");
    return { contents: [{ uri, ...known }] };
  });
  on(mcp.SubscribeRequestSchema, () => ({}));
  on(mcp.UnsubscribeRequestSchema, () => ({}));
  on(mcp.ListPromptsRequestSchema, () => ({
    prompts: Object.entries(PROMPTS).map(([name, prompt]) => ({
      name,
      description: name,
      arguments: prompt.takes.map((one) => ({ name: one, description: one, required: true })),
    })),
  }));
  on(mcp.GetPromptRequestSchema, ({ params }) => {
    const prompt = PROMPTS[params.name as keyof typeof PROMPTS];
    return prompt.gives((params.arguments ?? {}) as Record<string, string>);
  });
  on(mcp.CompleteRequestSchema, ({ params }) => ({
    completion: {
      values: ["paris", "park", "party"].filter((word) => word.startsWith(params.argument.value)),
      total: 3,
      hasMore: false,
    },
  }));
  return server;
}

/** Every event there was, by its number. */
function eventsKept(): EventStore {
  const events: { readonly stream: string; readonly message: mcp.JSONRPCMessage }[] = [];
  return {
    async storeEvent(stream, message) {
      events.push({ stream, message });
      return String(events.length);
    },
    async getStreamIdForEventId(id) {
      return events[Number(id) - 1]?.stream;
    },
    async replayEventsAfter(id, { send }) {
      const stream = events[Number(id) - 1]?.stream ?? "";
      for (const [at, event] of events.entries())
        if (at >= Number(id) && event.stream === stream && "jsonrpc" in event.message)
          await send(String(at + 1), event.message);
      return stream;
    },
  };
}

export async function startSessionServer(): Promise<SuiteServer> {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const eventStore = eventsKept();
  const open = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      eventStore,
      retryInterval: 300,
      onsessioninitialized: (id) => void sessions.set(id, transport),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    await serverOf().connect(transport as Parameters<Server["connect"]>[0]);
    return transport;
  };
  const server = createServer((request, response) => {
    void (async () => {
      const { host, origin, "mcp-session-id": id } = request.headers;
      if (!isLocal(host, origin)) return response.writeHead(403).end();
      const known = typeof id === "string" ? sessions.get(id) : await open();
      const gone = { jsonrpc: "2.0", error: { code: -32001, message: "Session not found" }, id: null };
      if (known) return known.handleRequest(request, response);
      return response.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify(gone));
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    async stop() {
      for (const transport of sessions.values()) await transport.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
