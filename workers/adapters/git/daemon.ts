/** Speaks git:// (gitprotocol-pack(5), "Git Transport") to an upstream, and answers as a smart HTTP server would. */
import { Refusal } from "#durable/format/refusal.ts";
import { byteStream } from "#workers/wire/byte-stream.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import { concat, FLUSH, type Packet, PacketReader, packet } from "./pkt-line.ts";

/** A connected TCP socket, as `cloudflare:sockets` has it. */
export type DaemonSocket = {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  close(): Promise<void>;
};

export type DaemonRequest = {
  /** The daemon's host and port, for its virtual hosting. */
  readonly host: string;
  /** Path of the connection's base URL, percent-encoded: repositories are below it. */
  readonly base: string;
  /** Method, URL and headers of the smart HTTP request; its own body is not read. */
  readonly request: Request;
  readonly body: BodyInit | null;
};

/**
 * One smart HTTP request over one connection of its own. Resolves when the daemon begins to answer; the rest streams with
 * back-pressure both ways. The socket is closed when the answer ends, when it is cancelled, and on every refusal.
 */
export async function overDaemon(connect: () => DaemonSocket, asked: DaemonRequest): Promise<Response> {
  const { pathname, search } = new URL(asked.request.url);
  const endpoint = endpointOf(asked.request.method, pathname, search);
  const daemon = new Daemon(reach(connect), baseOf(asked));
  try {
    await daemon.write(hello(endpoint, asked));
    if (endpoint.step === "refs") return await daemon.advertisement(endpoint.service);
    return await daemon.exchange(endpoint.service, plainBody(asked));
  } catch (cause) {
    await daemon.close();
    throw cause instanceof Refusal ? cause : unreachable(cause);
  }
}

class Daemon {
  readonly #socket: DaemonSocket;
  readonly #base: string;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #packets = new PacketReader("upstream_protocol");

  constructor(socket: DaemonSocket, base: string) {
    this.#socket = socket;
    this.#base = base;
    this.#reader = socket.readable.getReader();
    this.#writer = socket.writable.getWriter();
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#writer.write(bytes);
  }

  /** The advertisement up to its flush, as info/refs has it: v2 as it is, v0 and v1 behind a line that names the program. */
  async advertisement(service: Endpoint["service"]): Promise<Response> {
    const first = await this.#next();
    const isV2 =
      first.kind === "data" && new TextDecoder().decode(first.payload.subarray(0, 9)) === "version 2";
    const head = isV2 ? [] : [packet(`# service=${service}\n`), FLUSH];
    let waiting: Uint8Array | undefined = concat([...head, bytesOf(first)]);
    let over = first.kind === "flush";
    const next = async (): Promise<Uint8Array | undefined> => {
      if (waiting) {
        const bytes = waiting;
        waiting = undefined;
        return bytes;
      }
      if (over) {
        await this.#leave();
        return undefined;
      }
      const run = [await this.#next()];
      for (let more = this.#ready(run); more; more = this.#ready(run)) run.push(more);
      over = run.at(-1)?.kind === "flush";
      return concat(run.map(bytesOf));
    };
    return answer(
      `application/x-${service}-advertisement`,
      byteStream(next, () => this.close()),
    );
  }

  /** Skips what the daemon says first, sends the body, and streams all that comes back until it hangs up. */
  async exchange(service: Endpoint["service"], body: ReadableStream<Uint8Array>): Promise<Response> {
    for (let skipped = await this.#next(); skipped.kind !== "flush"; skipped = await this.#next());
    // A daemon that hangs up ends the sending too; what stopped it is told only when nothing came back.
    let failure: unknown;
    this.#send(body).catch((cause: unknown) => {
      failure = cause;
    });
    let waiting: Uint8Array | undefined = this.#packets.rest();
    if (waiting.byteLength === 0) waiting = (await this.#reader.read()).value;
    if (!waiting) throw hungUp(failure);
    const next = async (): Promise<Uint8Array | undefined> => {
      const bytes = waiting ?? (await this.#reader.read()).value;
      waiting = undefined;
      if (!bytes) await this.close();
      return bytes;
    };
    return answer(
      `application/x-${service}-result`,
      byteStream(next, () => this.close()),
    );
  }

  /** Closing twice, or closing what the other side has closed, is no failure. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#reader.cancel(), this.#writer.abort(), this.#socket.close()]);
  }

  /**
   * The body, then the end of what is sent. A server over TCP keeps the conversation open where one over HTTP ends with
   * the request: the half-close is what ends a negotiation without `done`, and the loop of v2 commands.
   */
  async #send(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    try {
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read())
        await this.#writer.write(chunk.value);
      await this.#writer.close();
    } catch (cause) {
      await Promise.allSettled([reader.cancel(cause), this.#writer.abort(cause)]);
      throw cause;
    }
  }

  /** A polite end after an advertisement: an empty request. */
  async #leave(): Promise<void> {
    await Promise.allSettled([this.#writer.write(FLUSH), this.#writer.close()]);
    await this.close();
  }

  async #next(): Promise<Packet> {
    for (let next = this.#packets.next(); ; next = this.#packets.next()) {
      if (next) return checked(next, this.#base);
      const { value } = await this.#reader.read();
      if (!value) throw hungUp(undefined);
      this.#packets.feed(value);
    }
  }

  /** The next packet if it is here already and the run has not come to its flush. */
  #ready(run: readonly Packet[]): Packet | undefined {
    if (run.at(-1)?.kind === "flush") return undefined;
    const next = this.#packets.next();
    return next && checked(next, this.#base);
  }
}

/**
 * The daemon's own refusal comes as a packet in place of the advertisement. It quotes the path, of which the part above the
 * repository is ours to keep.
 */
function checked(item: Packet, base: string): Packet {
  if (item.kind !== "data") return item;
  const text = new TextDecoder().decode(item.payload.subarray(0, 4096));
  if (!text.startsWith("ERR ")) return item;
  const said = text.slice("ERR ".length).replaceAll(`${base}/`, "/").trim();
  throw new Refusal("upstream_protocol", `The git server says: ${said}`);
}

const baseOf = ({ base }: DaemonRequest): string => decodeURIComponent(base).replace(/\/+$/, "");

function hello({ service, asked }: Endpoint, request: DaemonRequest): Uint8Array {
  const version = /(?:^|:)(version=[12])(?:$|:)/.exec(request.request.headers.get("git-protocol") ?? "")?.[1];
  return packet(
    `${service} ${baseOf(request)}${asked}\0host=${request.host}\0${version === undefined ? "" : `\0${version}\0`}`,
  );
}

/** git:// knows no content encoding. */
function plainBody({ request, body }: DaemonRequest): ReadableStream<Uint8Array> {
  const stream = new Response(body).body ?? new ReadableStream({ start: (controller) => controller.close() });
  const coding = request.headers.get("content-encoding");
  if (coding !== "gzip" && coding !== "x-gzip") return stream;
  return stream.pipeThrough(new DecompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>);
}

function bytesOf(item: Packet): Uint8Array {
  if (item.kind === "data") return packet(item.payload);
  if (item.kind === "flush") return FLUSH;
  throw new Refusal("upstream_protocol", "The git server's answer is not an advertisement.");
}

function answer(type: string, body: ReadableStream<Uint8Array>): Response {
  return new Response(body, { headers: { "content-type": type, "cache-control": "no-cache" } });
}

function reach(connect: () => DaemonSocket): DaemonSocket {
  try {
    return connect();
  } catch (cause) {
    throw unreachable(cause);
  }
}

const unreachable = (cause: unknown) =>
  new Refusal("upstream_unreachable", "The git server cannot be reached.", { cause });

const hungUp = (cause: unknown) =>
  new Refusal("upstream_protocol", "The git server hung up before it answered.", { cause });
