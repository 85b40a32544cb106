/** A directory store's other half: an HTTP endpoint over one directory, on a private unix socket; create-only for an archive. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { isKey, isPrefix, isReplaced } from "#durable/store/key.ts";
import { type Disk, Folder, NODE_DISK } from "./folder.ts";
import { listenPrivately } from "./private-socket.ts";

export type DirectoryEndpointOptions = {
  /** The archive's root; made when it does not exist. */
  readonly root: string;
  /** Path of the socket; its folder is made 0700 when it does not exist. */
  readonly socket: string;
  readonly disk?: Disk;
  /** For session keys, which are replaced and deleted; what an archive holds is neither. */
  readonly keys?: boolean;
};

export type DirectoryEndpoint = { stop(): Promise<void> };

/**
 * Serves PUT, GET, HEAD of `/keys/<key>` and GET of `/keys?prefix=` (one JSON string a line, ascending). One endpoint
 * a root: at start it removes what uploads cut off by a crash have left.
 */
export async function directoryEndpoint(options: DirectoryEndpointOptions): Promise<DirectoryEndpoint> {
  const { socket } = options;
  const folder = new Folder(options.root, options.disk ?? NODE_DISK);
  await folder.open();
  const keys = options.keys ?? false;
  const server = createServer((request, response) => {
    answer({ folder, keys }, request, response).catch((cause: unknown) => {
      // The head has gone out: a cut connection is the only way left to say that the answer is not whole.
      response.destroy(cause instanceof Error ? cause : undefined);
    });
  });
  await listenPrivately(server, socket);
  return {
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

type Served = { readonly folder: Folder; readonly keys: boolean };

async function answer(served: Served, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    await route(served, request, response);
  } catch (cause) {
    if (response.headersSent) throw cause;
    const full = errorCode(cause) === "ENOSPC" || errorCode(cause) === "EDQUOT";
    say(response, full ? 507 : 500, String(cause));
  }
}

async function route(
  { folder, keys }: Served,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "", url = "" } = request;
  const [, listing] = /^\/keys\?prefix=([A-Za-z0-9_.=+%-]*)$/.exec(url) ?? [];
  if (listing !== undefined && method === "GET") return await list(folder, listing, response);
  // Taken as it stands: a key needs no escapes, so an escaped one is not canonical.
  const key = url.startsWith("/keys/") ? url.slice("/keys/".length) : "";
  if (!isKey(key)) return say(response, 400, "not an archive key");
  if (method === "PUT") return await put(folder, key, keys || isReplaced(key), request, response);
  if (method === "DELETE" && keys) {
    await folder.remove(key);
    return say(response, 200, "not there");
  }
  if (method === "GET" || method === "HEAD") return await get(folder, key, method, response);
  response.setHeader("allow", keys ? "GET, HEAD, PUT, DELETE" : "GET, HEAD, PUT");
  say(response, 405, keys ? "not a method of this store" : "the archive is create-only");
}

async function put(
  folder: Folder,
  key: string,
  replaces: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const length = request.headers["content-length"];
  const digest = request.headers["repr-digest"];
  if (length === undefined || typeof digest !== "string") {
    return say(response, 400, "a put needs Content-Length and Repr-Digest");
  }
  const said = { bytes: Number(length), digest };
  const outcome = replaces
    ? await folder.replace(key, request, said)
    : await folder.create(key, request, said);
  switch (outcome) {
    case "created":
      return say(response, 201, "created");
    case "same":
      return say(response, 200, "held already");
    case "other":
      return say(response, 409, `${key} holds other bytes`);
    case "mismatch":
      return say(response, 400, "the body is not what its Content-Length and Repr-Digest say");
  }
}

async function get(folder: Folder, key: string, method: string, response: ServerResponse): Promise<void> {
  const found = await folder.read(key);
  if (!found) return say(response, 404, "absent");
  try {
    response.writeHead(200, {
      "content-type": "application/octet-stream",
      "content-length": found.bytes,
      "repr-digest": found.digest,
    });
    if (method === "HEAD") response.end();
    else await pipeline(found.body(), response);
  } finally {
    await found.close();
  }
}

async function list(folder: Folder, escaped: string, response: ServerResponse): Promise<void> {
  const prefix = unescaped(escaped);
  if (prefix === undefined || !isPrefix(prefix)) return say(response, 400, "not a prefix of archive keys");
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  await pipeline(async function* () {
    for await (const key of folder.keys(prefix)) yield `${JSON.stringify(key)}\n`;
  }, response);
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // URIError is the only one it throws: the escape is malformed, which the caller answers.
    return undefined;
  }
}

function say(response: ServerResponse, status: number, reason: string): void {
  const text = `${reason}\n`;
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}

/** A socket that nobody serves is left over from a crash; one that answers belongs to a running endpoint. */
const errorCode = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
