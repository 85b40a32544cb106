/** MCP servers that are programs, behind the gateway: Streamable HTTP on a private unix socket, one child for each session. */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { listenPrivately } from "#scripts/archive/private-socket.ts";
import { MESSAGE_MAX } from "#scripts/mcp/link.ts";
import { messageOf } from "#scripts/mcp/message.ts";
import type { Program } from "./program.ts";
import { ProgramSession, refuse } from "./session.ts";

export type Programs = {
  /** Sessions that open from now on are of these. */
  use(programs: readonly Program[]): void;
  /** Ends every child. */
  stop(): Promise<void>;
};

const ROUND_MS = 5_000;

/** Serves `/<connection>` of each program. */
export async function servePrograms(
  socket: string,
  first: readonly Program[],
  log: (line: string) => void = (line) => console.error(line),
): Promise<Programs> {
  let known = new Map(first.map((program) => [program.name, program]));
  const sessions = new Map<string, ProgramSession>();

  const open = (program: Program): ProgramSession => {
    const id = randomUUID();
    const { name } = program;
    const session = new ProgramSession(id, program, {
      ended: () => sessions.delete(id),
      told: (line) => log(`program ${name}: ${line}`),
    });
    sessions.set(id, session);
    return session;
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const program = known.get((request.url ?? "").replace(/^\/([^/]*)\/?$/, "$1"));
    if (!program) return void response.writeHead(404).end();
    const named = request.headers["mcp-session-id"];
    const session = typeof named === "string" ? sessions.get(named) : undefined;
    if (named !== undefined && session?.program.name !== program.name) return gone(response);
    switch (request.method) {
      case "GET":
        return session ? session.listen(response) : void response.writeHead(405).end();
      case "DELETE":
        session?.end();
        return void response.writeHead(session ? 200 : 405).end();
      case "POST": {
        const text = await bodyOf(request);
        const message = text === undefined ? undefined : messageOf(text);
        if (!message) return void response.writeHead(400).end();
        if (session) return session.post(message, response);
        if (message.method !== "initialize") return gone(response);
        const running = [...sessions.values()].filter((one) => one.program.name === program.name).length;
        if (running >= program.children)
          return refuse(
            response,
            message.id,
            `${program.children} of ${program.name} run already: try again later`,
          );
        return open(program).post(message, response);
      }
      default:
        return void response.writeHead(405).end();
    }
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((cause: unknown) => {
      log(`programs: ${String(cause)}`);
      response.destroy();
    });
  });
  // Streams are open for as long as somebody listens.
  server.requestTimeout = 0;
  await listenPrivately(server, socket);
  const round = setInterval(() => {
    for (const session of sessions.values())
      if (session.idle(Date.now()) > session.program.idleSeconds * 1000) session.end();
  }, ROUND_MS);
  return {
    use(programs) {
      known = new Map(programs.map((program) => [program.name, program]));
    },
    async stop() {
      clearInterval(round);
      for (const session of sessions.values()) session.kill();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Clients open another session then. */
function gone(response: ServerResponse): void {
  const error = { code: -32001, message: "Session not found" };
  response
    .writeHead(404, { "content-type": "application/json" })
    .end(JSON.stringify({ jsonrpc: "2.0", id: null, error }));
}

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.byteLength;
    if (size > MESSAGE_MAX) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
