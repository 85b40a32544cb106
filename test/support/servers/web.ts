// An ordinary web service: node:http and `ws`, with what an API does that a proxy may get wrong.
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { WebSocketServer } from "ws";

export interface Seen {
  readonly method: string;
  readonly url: string;
  /** Names and values in turn, as they stood on the wire. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

export interface WebServer {
  /** Scheme, host and port. */
  readonly url: string;
  /** Requests whose body came to its end, in order. */
  readonly seen: Seen[];
  /** What agents said over WebSockets, in order. */
  readonly said: string[];
  /** Connections that went before their answer was complete. */
  readonly cut: () => number;
  /** The event that was sent last has arrived: `/api/events` sends no other before. */
  heard(): void;
  stop(): Promise<void>;
}

export const GZIPPED = gzipSync("compressed, to the byte");

export async function startWeb(): Promise<WebServer> {
  const seen: Seen[] = [];
  const said: string[] = [];
  let cut = 0;
  const arrived = new EventEmitter();
  const server = createServer((request, response) => {
    response.on("close", () => {
      if (!response.writableFinished) cut += 1;
    });
    void answer(request, response, seen, arrived).catch(() => response.destroy());
  });
  const sockets = new WebSocketServer({
    server,
    path: "/api/socket",
    handleProtocols: (names) => [...names][0] ?? false,
  });
  sockets.on("connection", (socket) => {
    socket.on("message", (message, isBinary) => {
      said.push(message.toString());
      if (message.toString() === "bye") socket.close(4001, "as you wish");
      else if (message.toString() === "break") socket.terminate();
      else socket.send(message, { binary: isBinary });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    said,
    cut: () => cut,
    heard: () => void arrived.emit("heard"),
    async stop() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  seen: Seen[],
  arrived: EventEmitter,
): Promise<void> {
  const { method = "", url = "", rawHeaders } = request;
  const path = url.split("?", 1)[0] ?? "";
  if (path === "/api/both-ways") {
    // Answers each piece of the request while the next one is still to come.
    response.writeHead(200, { "content-type": "application/octet-stream" });
    for await (const chunk of request) response.write(chunk);
    response.end();
    return;
  }
  const parts: Buffer[] = [];
  for await (const chunk of request) parts.push(chunk as Buffer);
  const body = Buffer.concat(parts);
  seen.push({ method, url, headers: rawHeaders, body });
  switch (path) {
    case "/api/events":
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (let i = 0; i < 3; i++) {
        const heard = once(arrived, "heard");
        response.write(`id: ${i}\ndata: tick ${i}\n\n`);
        await heard;
      }
      response.end();
      break;
    case "/api/gzip":
      response.writeHead(200, { "content-encoding": "gzip", "content-length": GZIPPED.byteLength });
      response.end(GZIPPED);
      break;
    case "/api/moved":
      response.writeHead(302, { location: new URL(url, "http://x").searchParams.get("to") ?? "" }).end();
      break;
    case "/api/endless":
      response.writeHead(200, { "content-type": "text/plain" });
      while (!response.destroyed) {
        response.write("more and more\n");
        await sleep(20);
      }
      break;
    case "/api/login":
      response
        .writeHead(401, { "www-authenticate": 'Basic realm="upstream"', "set-cookie": "sid=1" })
        .end("who?");
      break;
    case "/api/nothing":
      response.writeHead(204).end();
      break;
    default:
      response.writeHead(200, { "content-type": "application/json", etag: '"1"', "x-multi": ["a", "b"] });
      response.end(method === "HEAD" ? undefined : JSON.stringify({ method, url, length: body.byteLength }));
  }
}
