/** The witness over HTTP: one path, one method. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { readUtf8 } from "#durable/proof/bytes.ts";
import { reason } from "#scripts/config/finding.ts";
import type { Answer, Witness } from "./cosign.ts";

/** A note of a hundred ML-DSA-44 signatures fits. */
const BODY_MAX = 512 * 1024;

/** `warn` is told what a client only hears as a 500. */
export function witnessServer(witness: Witness, warn: (text: string) => void): Server {
  const server = createServer((request, response) => {
    answerTo(witness, request).then(
      (answer) => send(response, answer),
      (cause: unknown) => {
        warn(reason(cause));
        send(response, { status: 500, body: "the witness cannot keep what it would sign\n" });
      },
    );
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 15_000;
  return server;
}

async function answerTo(witness: Witness, request: IncomingMessage): Promise<Answer> {
  const { pathname } = new URL(request.url ?? "/", "http://witness");
  if (!pathname.endsWith("/add-checkpoint")) return { status: 404, body: "POST …/add-checkpoint\n" };
  if (request.method !== "POST") return { status: 405, body: "POST it\n" };
  const body = await readBody(request);
  if (body === undefined) return { status: 413, body: `more than ${BODY_MAX} bytes\n` };
  const text = readUtf8(body);
  return text === undefined ? { status: 400, body: "not UTF-8\n" } : await witness.addCheckpoint(text);
}

async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > BODY_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, { status, type = "text/plain; charset=utf-8", body }: Answer): void {
  const close = status === 413 ? { connection: "close" } : {};
  response.writeHead(status, { "content-type": type, ...close }).end(body);
}
