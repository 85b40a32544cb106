/** What a Worker under Wrangler cannot reach by itself: the policy directory and the archive's socket, over loopback. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

export type Loopback = { readonly url: string; stop(): Promise<void> };

/**
 * Serves `<url>/policies/` (a listing as workerd's disk gives it), `<url>/policies/<name>`, and `<url>/keys…` as the
 * socket answers it. The URL has a path nobody can guess: loopback is open to every program of the machine.
 */
export async function startLoopback(policies: string, socket: string): Promise<Loopback> {
  const secret = `/${randomBytes(24).toString("base64url")}`;
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "";
    const answering = path.startsWith(`${secret}/`)
      ? answer(path.slice(secret.length), { policies, socket }, incoming, outgoing)
      : Promise.resolve(say(outgoing, 404));
    // The connection breaks: half an answer must not look like a whole one.
    answering.catch(() => outgoing.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${secret}`,
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

type Places = { readonly policies: string; readonly socket: string };

async function answer(
  path: string,
  { policies, socket }: Places,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const file = /^\/policies\/([^/]*)$/.exec(path)?.[1];
  if (file === undefined) return await relay(socket, path, incoming, outgoing);
  if (file === "") {
    const entries = await readdir(policies, { withFileTypes: true });
    const listing = entries.map((entry) => ({
      name: entry.name,
      type: entry.isDirectory() ? "directory" : "file",
    }));
    return say(outgoing, 200, JSON.stringify(listing));
  }
  const name = decodeURIComponent(file);
  // One name, not a way out of the directory.
  if (name.includes("/") || name.startsWith(".")) return say(outgoing, 404);
  const bytes = await readFile(join(policies, name)).catch(() => undefined);
  return bytes === undefined ? say(outgoing, 404) : say(outgoing, 200, bytes);
}

async function relay(
  socketPath: string,
  path: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method, headers } = incoming;
  const onward = request({ socketPath, path, method, headers });
  const answered = once(onward, "response") as Promise<[IncomingMessage]>;
  await Promise.all([pipeline(incoming, onward), answered]);
  const [reply] = await answered;
  outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
  await pipeline(reply, outgoing);
}

function say(outgoing: ServerResponse, status: number, body: string | Uint8Array = ""): void {
  outgoing.writeHead(status).end(body);
}
