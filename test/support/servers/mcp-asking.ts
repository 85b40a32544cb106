// An MCP server written by hand: it asks its client, breaks off, goes on elsewhere, and answers piece by piece, as tests say.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Sent = {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
};

/** What a tool does with the response of its call; a stream of events has begun. */
export type Tool = (call: Sent, say: ServerResponse, request: IncomingMessage) => Promise<void> | void;

export interface AskingServer {
  readonly url: string;
  readonly tools: Record<string, Tool>;
  /** What a GET is answered with; without it there is no stream. */
  listen: ((say: ServerResponse, request: IncomingMessage) => void) | undefined;
  /** What a method is answered that none of the above is. */
  readonly methods: Record<string, (params: Record<string, unknown>) => object>;
  /** Resolves with what the client answers to the request `id`. */
  answer(id: string): Promise<unknown>;
  stop(): Promise<void>;
}

const SESSION = "asking-1";

export const event = (message: object, id?: string): string =>
  `${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`;

export async function startAsking(): Promise<AskingServer> {
  const answers = new Map<string, PromiseWithResolvers<unknown>>();
  const answerTo = (id: string) => {
    const known = answers.get(id) ?? Promise.withResolvers<unknown>();
    answers.set(id, known);
    return known;
  };
  const json = (response: ServerResponse, message: object) =>
    response
      .writeHead(200, { "content-type": "application/json", "mcp-session-id": SESSION })
      .end(JSON.stringify({ jsonrpc: "2.0", ...message }));
  const stream = (response: ServerResponse): ServerResponse =>
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const server = createServer(async (request, response) => {
    if (request.method === "GET") {
      if (self.listen) self.listen(stream(response), request);
      else response.writeHead(405).end();
      return;
    }
    const sent = JSON.parse(Buffer.concat(await request.toArray()).toString()) as Sent;
    const { id, method, params = {} } = sent;
    if (method === undefined) answerTo(String(id)).resolve(sent.result);
    if (method === undefined || id === undefined) return void response.writeHead(202).end();
    const tool = method === "tools/call" ? self.tools[String(params["name"])] : undefined;
    if (tool) return void (await tool(sent, stream(response), request));
    const answered = self.methods[method];
    if (answered) json(response, { id, result: answered(params) });
    else json(response, { id, error: { code: -32601, message: "there is no such method" } });
  });
  const self: AskingServer = {
    url: "",
    tools: {},
    listen: undefined,
    methods: {
      initialize: ({ protocolVersion }) => ({
        protocolVersion,
        capabilities: { tools: {}, tasks: {} },
        serverInfo: { name: "asking", version: "1.0.0" },
      }),
    },
    answer: (id) => answerTo(id).promise,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(self, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp` });
}
