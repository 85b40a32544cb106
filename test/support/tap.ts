// A point on the line where everything is seen: passes requests on to a real server byte for byte and keeps a copy, or
// answers them itself, as a server that misbehaves would.
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** Names and values in turn, as they stood on the wire. */
export type RawHeaders = readonly string[];

export interface Passed {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: RawHeaders;
  /** What of the body came in; before `ended` it is what came so far. */
  readonly body: () => Buffer;
  readonly ended: () => boolean;
  /** The connection went before the answer was complete. */
  readonly cut: () => boolean;
  readonly status: () => number;
  readonly answerHeaders: () => RawHeaders;
  readonly answer: () => Buffer;
}

/** Answers in place of the server behind, and returns true; false passes the request on. The body is not read yet. */
export type Instead = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface Tap {
  readonly url: string;
  /** Requests in the order they came. */
  readonly passed: Passed[];
  instead: Instead | undefined;
  /** Connections are refused from now on. */
  goDown(): Promise<void>;
  /** Undoes `goDown`, on the same port. */
  comeBack(): Promise<void>;
  stop(): Promise<void>;
}

export const header = (headers: RawHeaders, name: string): string | undefined => {
  const at = headers.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === name);
  return at < 0 ? undefined : headers[at + 1];
};

export interface RawAnswer {
  readonly status: number;
  readonly headers: RawHeaders;
  readonly body: Buffer;
}

/** One request as it is given, and its answer as it comes: nothing decoded, nothing followed. */
export async function raw(
  url: string,
  headers: Readonly<Record<string, string>>,
  body?: string | Uint8Array,
): Promise<RawAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = request(url, { method: body === undefined ? "GET" : "POST", headers, agent: false }, resolve);
  sent.once("error", reject);
  sent.end(body);
  const answer = await promise;
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return { status: answer.statusCode ?? 0, headers: answer.rawHeaders, body: Buffer.concat(chunks) };
}

/** `target` is the origin of the server behind; without one every request must be answered by `instead`. */
export async function startTap(target: string | undefined, instead?: Instead): Promise<Tap> {
  const passed: Passed[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (incoming, outgoing) => {
    const copy = new Copy(incoming);
    passed.push(copy.passed);
    copy.watch(outgoing);
    if (tap.instead?.(incoming, outgoing)) return;
    if (target === undefined) outgoing.writeHead(500).end();
    else passOn(incoming, outgoing, new URL(target));
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const tap: Tap = {
    url: `http://127.0.0.1:${port}`,
    passed,
    instead,
    goDown: close,
    comeBack: () => listen(port),
    stop: close,
  };
  return tap;
}

function passOn(incoming: IncomingMessage, outgoing: ServerResponse, { hostname, port }: URL): void {
  const { method, url } = incoming;
  const onward = request({ hostname, port, method, path: url, headers: headersOf(incoming), agent: false });
  onward.once("response", (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
    answer.pipe(outgoing);
    answer.once("close", () => {
      if (!answer.complete) outgoing.destroy();
    });
  });
  // Either side that breaks off breaks the other: a tap neither hides nor mends a cut.
  onward.once("error", () => outgoing.destroy());
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) onward.destroy();
  });
  incoming.once("close", () => {
    if (!incoming.complete) onward.destroy();
  });
  incoming.pipe(onward);
}

function headersOf({ rawHeaders }: IncomingMessage): string[] {
  const kept: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (!/^(connection|expect)$/i.test(name)) kept.push(name, value);
  }
  return kept;
}

class Copy {
  readonly passed: Passed;
  readonly #body: Buffer[] = [];
  readonly #answer: Buffer[] = [];
  #answerHeaders: RawHeaders = [];
  #status = 0;
  #cut = false;

  constructor(incoming: IncomingMessage) {
    incoming.on("data", (chunk: Buffer) => this.#body.push(chunk));
    incoming.pause();
    this.passed = {
      method: incoming.method ?? "",
      url: incoming.url ?? "",
      headers: incoming.rawHeaders,
      body: () => Buffer.concat(this.#body),
      ended: () => incoming.complete,
      cut: () => this.#cut,
      status: () => this.#status,
      answerHeaders: () => this.#answerHeaders,
      answer: () => Buffer.concat(this.#answer),
    };
  }

  /** Keeps what is written to the client: wraps the methods, so that framing stays Node's own. */
  watch(outgoing: ServerResponse): void {
    const { write, end, writeHead } = outgoing;
    outgoing.once("close", () => {
      this.#cut = !outgoing.writableFinished;
    });
    const keep = (chunk: unknown): void => {
      if (typeof chunk === "string" || chunk instanceof Uint8Array) this.#answer.push(Buffer.from(chunk));
    };
    outgoing.writeHead = ((status: number, ...rest: unknown[]) => {
      this.#status = status;
      const headers = rest.find((value) => typeof value === "object") as
        | RawHeaders
        | Record<string, string>
        | undefined;
      this.#answerHeaders = Array.isArray(headers)
        ? headers
        : Object.entries(headers ?? {}).flatMap(([name, value]) => [name, String(value)]);
      return (writeHead as (...args: unknown[]) => ServerResponse).call(outgoing, status, ...rest);
    }) as typeof writeHead;
    outgoing.write = ((chunk: unknown, ...rest: unknown[]) => {
      keep(chunk);
      return (write as (...args: unknown[]) => boolean).call(outgoing, chunk, ...rest);
    }) as typeof write;
    outgoing.end = ((chunk?: unknown, ...rest: unknown[]) => {
      // `end` hands its chunk to an inner write, not to the wrapped one.
      keep(chunk);
      return (end as (...args: unknown[]) => ServerResponse).call(outgoing, chunk, ...rest);
    }) as typeof end;
  }
}
