// A program of its own: what agents talk to, answering at once: `node agent-upstream.ts <port>`. `/mcp` is an MCP server
// whose tools answer a kilobyte, `/v1/chat/completions` a model that writes 50 KB, or events when asked to stream: of the
// model `every-10` one each 10 ms, of `every-0` as fast as they are taken; `-n500` at the end is how many;
// each says which it is.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const WORDS = "the gateway reads what the agent asks and answers it with what the server says ";
const prose = (length: number): string => WORDS.repeat(Math.ceil(length / WORDS.length)).slice(0, length);

const CALLED = { content: [{ type: "text", text: prose(1024) }] };
const COMPLETION = {
  id: "chatcmpl-bench",
  object: "chat.completion",
  created: 1_750_000_000,
  choices: [{ index: 0, message: { role: "assistant", content: prose(50_000) }, finish_reason: "stop" }],
  usage: { prompt_tokens: 12_000, completion_tokens: 12_000, total_tokens: 24_000 },
};

async function read(request: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>;
}

function json(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value);
  response
    .writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) })
    .end(text);
}

const event = (model: string, content: string): string =>
  `data: ${JSON.stringify({ id: "chatcmpl-bench", object: "chat.completion.chunk", created: 1_750_000_000, model, choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;

async function stream(model: string, response: ServerResponse): Promise<void> {
  const [, every = "0", count = "50"] = /^every-(\d+)(?:-n(\d+))?$/.exec(model) ?? [];
  response.writeHead(200, { "content-type": "text/event-stream" });
  const words = WORDS.trim().split(" ");
  const began = performance.now();
  for (let n = 0; n < Number(count) && !response.destroyed; n++) {
    const due = began + n * Number(every) - performance.now();
    if (due > 0) await sleep(due);
    if (!response.write(event(model, `${words[n % words.length]}-${n} `))) await once(response, "drain");
  }
  response.end("data: [DONE]\n\n");
}

createServer({ keepAliveTimeout: 600_000 }, async (request, response) => {
  const asked = await read(request);
  if (request.url !== "/mcp") {
    const model = String(asked["model"]);
    return asked["stream"] === true ? stream(model, response) : json(response, 200, { ...COMPLETION, model });
  }
  const { id, method } = asked;
  if (id === undefined) return void response.writeHead(202).end();
  const started = {
    protocolVersion: "2025-11-25",
    capabilities: { tools: {} },
    serverInfo: { name: "bench", version: "1" },
  };
  const tool = { name: "read", inputSchema: { type: "object" } };
  const result = method === "initialize" ? started : method === "tools/list" ? { tools: [tool] } : CALLED;
  json(response, 200, { jsonrpc: "2.0", id, result });
}).listen(Number(process.argv[2]), "127.0.0.1");
