/** One MCP session over Streamable HTTP (2025-11-25) that is one child over stdio: its messages pass as they are. */
import type { ServerResponse } from "node:http";
import { isRequest, type Message } from "#scripts/mcp/message.ts";
import { Child } from "./child.ts";
import type { Program } from "./program.ts";

/** JSON-RPC 2.0 §5.1: from the range that servers may define. */
const FAILED = -32000;
/** A server that does not answer `initialize` is none. */
const START_MS = 30_000;
const PENDING_MAX = 256;
/** Messages that nobody listens for yet. */
const KEPT_MAX = 256;

type Pending = { readonly response: ServerResponse; readonly id: Message["id"] };

export class ProgramSession {
  readonly id: string;
  readonly program: Program;
  readonly #child: Child;
  readonly #pending = new Map<string, Pending>();
  readonly #kept: string[] = [];
  #stream: ServerResponse | undefined;
  #used = Date.now();
  /** What became of the child, once it is gone. */
  #gone: string | undefined;
  #starting: ReturnType<typeof setTimeout> | undefined;

  constructor(
    id: string,
    program: Program,
    on: { readonly ended: () => void; readonly told: (line: string) => void },
  ) {
    this.id = id;
    this.program = program;
    this.#starting = setTimeout(() => this.#fail("it does not answer initialize", on.ended), START_MS);
    this.#child = new Child(program, {
      said: (message) => this.#said(message),
      told: on.told,
      ended: (why) => this.#fail(why, on.ended),
    });
  }

  /** Milliseconds since anybody asked anything of it; 0 while somebody waits or listens. */
  idle(now: number): number {
    return this.#pending.size > 0 || this.#stream ? 0 : now - this.#used;
  }

  async post(message: Message, response: ServerResponse): Promise<void> {
    this.#used = Date.now();
    const key = JSON.stringify(message.id);
    if (!isRequest(message)) {
      await this.#child.say(message.text);
      response.writeHead(202).end();
      return;
    }
    if (this.#pending.has(key)) return refuse(response, message.id, "this id is in use by another request");
    if (this.#pending.size >= PENDING_MAX) return refuse(response, message.id, "too many requests at once");
    this.#pending.set(key, { response, id: message.id });
    response.on("close", () => this.#pending.delete(key));
    try {
      await this.#child.say(message.text);
    } catch {
      // It takes no more: it is about to end, or has. How it ended is what whoever waits is told.
      if (this.#gone === undefined) this.#child.kill();
      else if (this.#pending.delete(key)) refuse(response, message.id, this.#gone);
    }
  }

  /** What it says unasked. One listens at a time. */
  listen(response: ServerResponse): void {
    if (this.#stream) {
      response.writeHead(409).end();
      return;
    }
    this.#stream = response;
    response.on("close", () => {
      this.#stream = undefined;
      this.#used = Date.now();
    });
    begin(response);
    for (const text of this.#kept.splice(0)) event(response, text);
  }

  end(): void {
    clearTimeout(this.#starting);
    this.#child.stop();
    this.#stream?.end();
  }

  kill(): void {
    clearTimeout(this.#starting);
    this.#child.kill();
  }

  #said(message: Message): void {
    const key = JSON.stringify(message.id);
    const waiting = message.method === undefined ? this.#pending.get(key) : undefined;
    if (!waiting) {
      // An answer that nobody waits for any more is none.
      if (message.method !== undefined) this.#unasked(message.text);
      return;
    }
    this.#pending.delete(key);
    clearTimeout(this.#starting);
    const { response } = waiting;
    if (response.headersSent) {
      event(response, message.text);
      response.end();
    } else
      response
        .writeHead(200, { "content-type": "application/json", "mcp-session-id": this.id })
        .end(message.text);
  }

  /** To whoever listens; else beside the answer that is asked for last; else to whoever listens next. */
  #unasked(text: string): void {
    const asked = [...this.#pending.values()].at(-1)?.response;
    if (this.#stream) event(this.#stream, text);
    else if (asked) {
      if (!asked.headersSent) begin(asked, this.id);
      event(asked, text);
    } else if (this.#kept.length < KEPT_MAX) this.#kept.push(text);
  }

  #fail(why: string, ended: () => void): void {
    clearTimeout(this.#starting);
    const gone = `the server ${this.program.name} is gone: ${why}`;
    this.#gone = gone;
    for (const { response, id } of this.#pending.values()) refuse(response, id, gone);
    this.#pending.clear();
    this.#stream?.end();
    this.#child.kill();
    ended();
  }
}

/** A no to a request, as its server would say it. */
export function refuse(response: ServerResponse, id: Message["id"], why: string): void {
  const text = JSON.stringify({ jsonrpc: "2.0", id: id ?? null, error: { code: FAILED, message: why } });
  if (response.headersSent) {
    event(response, text);
    response.end();
  } else response.writeHead(200, { "content-type": "application/json" }).end(text);
}

function begin(response: ServerResponse, session?: string): void {
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    ...(session !== undefined && { "mcp-session-id": session }),
  });
  response.flushHeaders();
}

const event = (response: ServerResponse, text: string): void => void response.write(`data: ${text}\n\n`);
