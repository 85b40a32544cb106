/** A Git server on loopback: Node in front of `git http-backend`, closed to everybody without its Basic credential. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { timingSafeEqual } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { gitEnvironment, run } from "./program.ts";

export interface GitServer {
  readonly url: string;
  /** Where the bare repositories are. */
  readonly root: string;
  /** Makes `<name>` (say "team/app.git") an empty bare repository with HEAD at main and returns its directory. */
  createRepository(name: string): Promise<string>;
  /** How many requests came without the credential, and were refused. */
  turnedAway(): number;
  stop(): Promise<void>;
}

export interface GitServerOptions {
  readonly directory: string;
  readonly user: string;
  readonly password: string;
}

const CONFIG = "[http]\n\treceivepack = true\n[gc]\n\tauto = 0\n[safe]\n\tdirectory = *\n";
/** The head of a CGI answer is small; more than this without its end is no CGI answer. */
const HEAD_MAX = 64 * 1024;

export async function startGitServer({ directory, user, password }: GitServerOptions): Promise<GitServer> {
  const root = join(directory, "repositories");
  mkdirSync(root, { recursive: true });
  const config = join(directory, "gitconfig");
  writeFileSync(config, CONFIG);
  const env = gitEnvironment(directory, config);
  const wanted = Buffer.from(`Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`);
  let turnedAway = 0;
  const server = createServer((request, response) => {
    const sent = Buffer.from(request.headers.authorization ?? "");
    if (sent.length === wanted.length && timingSafeEqual(sent, wanted)) {
      const work = answer(request, response, { ...env, GIT_PROJECT_ROOT: root, REMOTE_USER: user });
      // A path that cannot be read, or a machine without git: there is nothing to answer with.
      work.catch(() => response.destroy());
      return;
    }
    turnedAway += 1;
    response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end("who is asking?\n");
  });
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    root,
    async createRepository(name) {
      const path = join(root, name);
      await run("git", ["init", "-q", "--bare", "--template=", "--initial-branch=main", path], { env });
      return path;
    },
    turnedAway: () => turnedAway,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** One request through CGI (RFC 3875): bodies of any size pass both ways without being gathered. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const backend = spawn("git", ["http-backend"], { env: { ...env, ...metaVariables(request) } });
  // A client that hangs up must not leave a backend behind.
  response.once("close", () => backend.kill());
  backend.stderr.resume();
  const sent = pipeline(request, backend.stdin);
  // The backend may answer before it has read everything; what the answer is says whether that was right.
  sent.catch(() => undefined);
  try {
    const { status, headers, rest } = await readHead(backend);
    response.writeHead(status, headers);
    if (rest.length > 0) response.write(rest);
    await pipeline(backend.stdout, response);
  } catch (cause) {
    backend.kill();
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end(`git http-backend: ${String(cause)}\n`);
  }
}

function metaVariables(request: IncomingMessage): Record<string, string> {
  const { pathname, search } = new URL(request.url ?? "/", "http://localhost");
  const optional = {
    CONTENT_TYPE: request.headers["content-type"],
    CONTENT_LENGTH: request.headers["content-length"],
    HTTP_CONTENT_ENCODING: request.headers["content-encoding"],
    GIT_PROTOCOL: request.headers["git-protocol"]?.toString(),
  };
  return {
    REQUEST_METHOD: request.method ?? "GET",
    PATH_INFO: decodeURIComponent(pathname),
    QUERY_STRING: search.slice(1),
    REMOTE_ADDR: request.socket.remoteAddress ?? "",
    SERVER_PROTOCOL: "HTTP/1.1",
    GATEWAY_INTERFACE: "CGI/1.1",
    GIT_HTTP_EXPORT_ALL: "1",
    ...Object.fromEntries(Object.entries(optional).filter((pair) => pair[1] !== undefined)),
  };
}

type Head = { readonly status: number; readonly headers: string[]; readonly rest: Buffer };

/** Reads up to the empty line; what came after it in the same chunk is the beginning of the body. */
async function readHead(backend: ChildProcessWithoutNullStreams): Promise<Head> {
  const { promise, resolve, reject } = Promise.withResolvers<Head>();
  let read = Buffer.alloc(0);
  const take = (chunk: Buffer) => {
    read = Buffer.concat([read, chunk]);
    const end = read.indexOf("\r\n\r\n");
    if (end < 0 && read.length < HEAD_MAX) return;
    backend.stdout.pause();
    backend.stdout.off("data", take);
    if (end < 0) reject(new Error("its answer has no head"));
    else resolve(parseHead(read.subarray(0, end).toString("latin1"), read.subarray(end + 4)));
  };
  backend.stdout.on("data", take);
  backend.once("error", reject);
  backend.stdout.once("end", () => reject(new Error("it ended without an answer")));
  return promise;
}

function parseHead(text: string, rest: Buffer): Head {
  const fields = text.split("\r\n").map((line) => line.split(/:\s*(.*)/, 2) as [string, string]);
  const status = fields.find(([name]) => name.toLowerCase() === "status")?.[1] ?? "200";
  const headers = fields.filter(([name]) => name.toLowerCase() !== "status").flat();
  return { status: Number.parseInt(status, 10), headers, rest };
}
