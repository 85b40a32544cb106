/** The git adapter between a stock git client and stock `git http-backend`, in one Node program. */
import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { GitContained } from "#durable/format/frame.ts";
import type { ConnectionName } from "#durable/format/ids.ts";
import type { GitOperation } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { bytesOf, detectors, sound } from "#test/unit/adapter-contract.ts";
import type { Incoming, Inspected } from "#workers/adapters/adapter.ts";
import { gitAdapter } from "#workers/adapters/git/adapter.ts";
import { environment, type Workspace } from "./repository.ts";

export type Passed = {
  readonly incoming: Incoming;
  readonly inspected: Inspected<GitOperation, GitContained>;
  /** What the client sent, as it came off its socket. */
  readonly received: Uint8Array;
  /** What went to the server; undefined when nothing did. */
  readonly sent: Uint8Array | undefined;
};
export type Send = (inspected: Inspected<GitOperation, GitContained>, body: Uint8Array) => Promise<Response>;
export type Gateway = { readonly url: string; readonly passed: Passed[]; stop(): Promise<void> };

export const connection: Incoming["connection"] = {
  name: "code" as ConnectionName,
  kind: "git",
  bodies: "full",
};

/** `judge` throws what is to be refused, as policy or the recorder would. */
export async function startGateway(
  send: Send,
  judge: (incoming: Incoming, inspected?: Inspected<GitOperation, GitContained>) => void = () => undefined,
): Promise<Gateway> {
  const passed: Passed[] = [];
  const server = createServer((message, reply) => {
    serve(message, reply, passed, send, judge).catch((fault: unknown) => {
      console.error(fault);
      reply.destroy();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const stop = (): Promise<void> => {
    server.closeAllConnections();
    return new Promise((done) => server.close(() => done()));
  };
  return { url: `http://127.0.0.1:${port}`, passed, stop };
}

async function serve(
  message: IncomingMessage,
  reply: ServerResponse,
  passed: Passed[],
  send: Send,
  judge: (incoming: Incoming, inspected?: Inspected<GitOperation, GitContained>) => void,
): Promise<void> {
  const received: Uint8Array[] = [];
  message.on("data", (chunk: Uint8Array) => received.push(chunk));
  message.pause();
  const incoming = incomingOf(message);
  let operation: GitOperation | { readonly kind: "unknown" } = { kind: "unknown" };
  let response: Response;
  try {
    judge(incoming);
    const inspected = await whole(await sound(gitAdapter.inspect(incoming)));
    operation = inspected.operation;
    let sent: Uint8Array | undefined;
    const outgoing: Send = async (asked) => {
      sent = await bytesOf(asked.body);
      return send(asked, sent);
    };
    try {
      judge(incoming, inspected);
      response = await gitAdapter.forward(inspected, (asked) => outgoing(asked, new Uint8Array(0)));
    } finally {
      if (sent === undefined) await bytesOf(inspected.body);
      passed.push({ incoming, inspected, received: Buffer.concat(received), sent });
    }
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    response = gitAdapter.refuse(thrown, incoming, operation);
    message.resume();
    if (!message.complete) await new Promise((done) => message.once("end", done));
  }
  reply.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body) await pipeline(Readable.fromWeb(response.body as never), reply);
  else reply.end();
}

/** A push that is spooled is read here as the pipeline would have it read, from memory. */
async function whole(
  inspected: Inspected<GitOperation, GitContained>,
): Promise<Inspected<GitOperation, GitContained>> {
  if (!inspected.unread) return inspected;
  const bytes = new Uint8Array(await bytesOf(inspected.body));
  let at = 0;
  const next = async () => {
    const piece = bytes.slice(at, at + 50_000);
    at += piece.byteLength;
    return piece.byteLength > 0 ? piece : undefined;
  };
  const again = async (off: number, length: number) => bytes.slice(off, off + length);
  return { ...(await inspected.unread({ next, again })), body: { kind: "whole", bytes } };
}

function incomingOf(message: IncomingMessage): Incoming {
  const [path = "", query] = (message.url ?? "").split("?", 2);
  const hasBody = message.method === "POST";
  const init = {
    method: message.method ?? "GET",
    headers: message.headers as Record<string, string>,
    ...(hasBody ? { body: Readable.toWeb(message) as ReadableStream, duplex: "half" } : {}),
  };
  const request = new Request(`http://gateway${message.url}`, init);
  return {
    request,
    connection,
    path,
    query: query === undefined ? "" : `?${query}`,
    stallSeconds: 60,
    detectors,
  };
}

/** `git http-backend` as its web server would run it (RFC 3875). */
export function backend(workspace: Workspace): Send {
  return async ({ outgoing }, body) => {
    const headers = new Headers(outgoing.headers.map(([name, value]) => [name, value]));
    const [path = "", query = ""] = outgoing.path.split("?");
    const child = spawn("git", ["http-backend"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        ...environment(workspace),
        GIT_PROJECT_ROOT: workspace.served,
        GIT_HTTP_EXPORT_ALL: "1",
        REQUEST_METHOD: outgoing.method,
        PATH_INFO: decodeURIComponent(path),
        QUERY_STRING: query,
        CONTENT_TYPE: headers.get("content-type") ?? "",
        CONTENT_LENGTH: String(body.byteLength),
        HTTP_CONTENT_ENCODING: headers.get("content-encoding") ?? "",
        GIT_PROTOCOL: headers.get("git-protocol") ?? "",
      },
    });
    // A server that refuses early stops reading; what it answers says why.
    child.stdin.on("error", () => undefined);
    child.stdin.end(body);
    return cgiResponse(child.stdout);
  };
}

async function cgiResponse(stdout: Readable): Promise<Response> {
  let head = Buffer.alloc(0);
  const source = stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for (let end = -1; end < 0; end = head.indexOf("\r\n\r\n")) {
    const { value, done } = await source.next();
    if (done) throw new Error(`http-backend said only ${head}`);
    head = Buffer.concat([head, value]);
  }
  const end = head.indexOf("\r\n\r\n");
  const lines = head.subarray(0, end).toString("latin1").split("\r\n");
  const headers = new Headers(lines.map((line) => line.split(": ", 2) as [string, string]));
  const status = Number.parseInt(headers.get("status") ?? "200", 10);
  headers.delete("status");
  const rest = head.subarray(end + 4);
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => (rest.byteLength > 0 ? controller.enqueue(rest) : undefined),
    async pull(controller) {
      const { value, done } = await source.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  return new Response(body, { status, headers });
}
