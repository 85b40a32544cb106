/** The egress service: the upstreams' network and credentials. Forwards only what a clearance covers, once. */

import { WorkerEntrypoint } from "cloudflare:workers";
import type { BodyEnd } from "#durable/format/frame.ts";
import type { LfsObject } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Answer, ClearanceClaims, RequestBody } from "#durable/format/tape.ts";
import { letGo } from "#workers/contract/let-go.ts";
import { overDaemon } from "./adapters/git/daemon.ts";
import { isBatch, leadThrough, ticketOf, uploadedBy } from "./adapters/git/lfs/lead.ts";
import { Tickets } from "./adapters/git/lfs/tickets.ts";
import { WholeObject } from "./adapters/git/lfs/whole-object.ts";
import type { Analyzer as Analyzing, Recognised } from "./contract/analyzer.ts";
import type { Issuers } from "./contract/issuers.ts";
import type { EgressConnection } from "./contract/settings.ts";
import { type Env, egressEnv } from "./env.ts";
import { fetchJwks } from "./identity/issuer-keys.ts";
import { askPresidio } from "./mask/analysis/presidio.ts";
import { attach } from "./vault/attach.ts";
import { bodyClaims, openClearance, requireCover } from "./vault/clearance.ts";
import { mounted } from "./vault/location.ts";
import { overSocket } from "./vault/socket.ts";
import { Spent } from "./vault/spent.ts";
import { spooledPieces } from "./vault/spooled.ts";
import { endMark, MARK_LENGTH, MarkedStream } from "./wire/end-mark.ts";
import { bodyStalled, inTime, upstreamFull, upstreamSilent } from "./wire/in-time.ts";
import { pieces } from "./wire/pieces.ts";
import { ReadAhead } from "./wire/read-ahead.ts";
import { isUpgrade } from "./wire/socket/message.ts";

const CHUNK = 1024 * 1024;
const spent = new Spent();

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
let made: Tickets | undefined;
/** No isolate may draw random numbers while it starts, so the key is made at its first use. */
function tickets(): Tickets {
  made ??= new Tickets(random(32), random);
  return made;
}

type Bound = ReturnType<typeof egressEnv>;

export class Egress extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const upload = new AbortController();
    try {
      const env = egressEnv(this.env);
      const clearance = request.headers.get("steno-clearance") ?? "";
      const claims = await openClearance(env.clearanceKey, clearance, Date.now());
      const connection = env.settings.connections.find(({ name }) => name === claims.connection);
      if (!connection)
        throw new Refusal("unknown_connection", `egress has no connection "${claims.connection}"`);
      const opens = isUpgrade(request.headers);
      const arrived = opens ? NOTHING_SAID : await arrive(request, claims.body, env.settings.stallSeconds);
      const { pathname, search } = new URL(request.url);
      requireCover(claims, {
        connection: connection.name,
        method: request.method,
        path: `${pathname}${search}`,
        body: bodyClaims(arrived),
      });
      if (!spent.spend(claims, Date.now()))
        throw new Refusal("denied", "the clearance was used before, or has expired");
      const under = {
        clearance,
        env,
        upload,
        object: connection.kind === "git" ? uploadedBy(claims) : undefined,
        meanwhile: (work: Promise<unknown>) => this.ctx.waitUntil(work),
      };
      if (opens) {
        const open = () => dispatch(request, connection, claims, { body: null, signal: upload.signal }, env);
        const socket = overSocket(open, clearance, env.spool);
        return await inTime(socket, env.settings.stallSeconds, upstreamSilent);
      }
      const { body, sent } = leave(arrived, under);
      const answer = dispatch(request, connection, claims, { body, signal: upload.signal }, env);
      await Promise.race([answer, sent]);
      return await inTime(answer, env.settings.stallSeconds, upstreamSilent);
    } catch (thrown) {
      // Nothing is waited for any more, so nothing more may be sent; what stopped the upload first is the reason.
      upload.abort(thrown);
      return refused(upload.signal.reason);
    }
  }
}

/** JWK sets of the configured issuers, for those who verify tokens and have no network. */
export class IssuerKeys extends WorkerEntrypoint<Env> implements Issuers {
  async jwks(index: number): Promise<Answer<string>> {
    const env = egressEnv(this.env);
    const issuer = env.settings.issuers[index];
    if (!issuer) return { no: { code: "identity_unavailable", message: "there is no such issuer" } };
    try {
      return {
        ok: await fetchJwks(
          env.upstream(issuer.jwksBinding ?? issuer.binding),
          issuer.issuer,
          issuer.jwksUri,
        ),
      };
    } catch (thrown) {
      const message =
        thrown instanceof Refusal ? thrown.message : `the issuer ${issuer.issuer} cannot be reached`;
      console.error(JSON.stringify({ level: "alert", code: "identity_unavailable", cause: String(thrown) }));
      return { no: { code: "identity_unavailable", message } };
    }
  }
}

/** The configured analyzer, for those who look into bodies and have no network. */
export class Analyzer extends WorkerEntrypoint<Env> implements Analyzing {
  async analyze(text: string): Promise<Answer<readonly Recognised[]>> {
    const env = egressEnv(this.env);
    const { presidio } = env.settings;
    try {
      if (!presidio) throw new Refusal("policy_unavailable", "there is no analyzer");
      return { ok: await askPresidio(env.presidio(), presidio, text) };
    } catch (thrown) {
      if (thrown instanceof Refusal) return { no: { code: thrown.code, message: thrown.message } };
      throw thrown;
    }
  }
}

async function dispatch(
  request: Request,
  connection: EgressConnection,
  claims: ClearanceClaims,
  { body, signal }: { readonly body: BodyInit | null; readonly signal: AbortSignal },
  env: Bound,
): Promise<Response> {
  const upstream = env.upstream(connection.upstream);
  const secret = connection.credential;
  const credential = secret && { ...secret, secret: env.secret(secret.binding) };
  const base = baseOf(connection);
  if (connection.transport === "git-daemon") {
    const connect = () => upstream.connect(`${base.hostname}:${base.port || "9418"}`);
    return overDaemon(connect, {
      host: base.host,
      base: base.pathname,
      request: new Request(request, { body: null }),
      body,
    });
  }
  const headers = attach(request.headers, credential);
  headers.delete("steno-clearance");
  headers.set("host", base.host);
  const ticket = connection.kind === "git" ? await ticketOf(claims, tickets()) : undefined;
  for (const [name, value] of ticket?.headers ?? []) headers.set(name, value);
  // An MCP server is one address: what is below it is nothing.
  const below = connection.kind === "mcp" && claims.path === "/" ? "" : claims.path;
  const url = ticket?.url ?? `${base.origin}${base.pathname.replace(/\/$/, "")}${below}`;
  const response = await upstream.fetch(url, {
    method: claims.method,
    headers,
    body,
    signal,
    redirect: "manual",
    encodeResponseBody: "manual",
  });
  if (connection.kind === "git" && isBatch(claims) && response.status === 200)
    return leadThrough(response, claims, connection.base, tickets());
  const { headers: said } = response;
  const plain = !said.has("steno-refusal") && !said.has("location") && !said.has("content-location");
  return plain || response.webSocket ? response : told(response, connection, url);
}

/** The upstream's answer as the gateway may have it: egress's own header is nobody else's, and redirects lead back. */
function told(response: Response, connection: EgressConnection, asked: string): Response {
  const { kind, name, base } = connection;
  const headers =
    kind === "git"
      ? new Headers(response.headers)
      : mounted(response.headers, asked, base, `/${kind}/${name}`);
  headers.delete("steno-refusal");
  return new Response(response.body, { status: response.status, headers, encodeBody: "manual" });
}

const bases = new WeakMap<EgressConnection, URL>();
function baseOf(connection: EgressConnection): URL {
  const base = bases.get(connection) ?? new URL(connection.base);
  bases.set(connection, base);
  return base;
}

type Under = {
  readonly clearance: string;
  readonly env: Bound;
  /** Aborted when the upload is cut: a chunked body whose stream merely fails would be given a proper end. */
  readonly upload: AbortController;
  /** The Git LFS object that the body must be. */
  readonly object: LfsObject | undefined;
  readonly meanwhile: (work: Promise<unknown>) => void;
};

/** A body as far as its clearance speaks of it; of a stream the rest as well, which only has to be durable. */
type Arrived =
  | Exclude<RequestBody, { readonly kind: "stream" | "spooled" }>
  | Extract<ClearanceClaims["body"], { readonly kind: "spooled" }>
  | {
      readonly kind: "stream";
      readonly prefix: Uint8Array;
      /** Undefined for a WebSocket. */
      readonly rest: ReadableStreamBYOBReader | undefined;
      readonly length: string | null;
    };

/** The beginning of a WebSocket's body, which egress itself records message by message. */
const NOTHING_SAID: Arrived = { kind: "stream", prefix: new Uint8Array(0), rest: undefined, length: null };

async function arrive(request: Request, cleared: ClearanceClaims["body"], seconds: number): Promise<Arrived> {
  switch (cleared.kind) {
    case "none":
      return { kind: "none" };
    case "whole":
      return { kind: "whole", bytes: new Uint8Array(await request.arrayBuffer()) };
    case "stream": {
      if (!request.body) throw new Refusal("denied", "the clearance is for a streamed body");
      const rest = request.body.getReader({ mode: "byob" });
      const prefix = await readPrefix(rest, cleared.prefix, seconds);
      return { kind: "stream", prefix, rest, length: request.headers.get("content-length") };
    }
    case "spooled":
      // The recorder has it. It is held against the clearance as it leaves.
      return cleared;
  }
}

/** What goes upstream, and when all of it has gone. */
function leave(
  body: Arrived,
  under: Under,
): { readonly body: BodyInit | null; readonly sent: Promise<void> } {
  switch (body.kind) {
    case "none":
      return { body: null, sent: Promise.resolve() };
    case "whole":
      return { body: body.bytes, sent: Promise.resolve() };
    case "stream": {
      if (!body.rest) throw new Error("a WebSocket has no body to send");
      const { readable, writable } =
        body.length === null
          ? new IdentityTransformStream()
          : new FixedLengthStream(Number(body.length) - MARK_LENGTH);
      const sent = spool(body.rest, writable, body.prefix, under);
      under.meanwhile(sent);
      return { body: readable, sent };
    }
    case "spooled": {
      const { readable, writable } = new FixedLengthStream(body.length);
      const sent = release(body, writable, under);
      under.meanwhile(sent);
      return { body: readable, sent };
    }
  }
}

/** A body that is durable as a whole leaves as it was decided upon, or breaks off. */
async function release(
  body: Extract<Arrived, { readonly kind: "spooled" }>,
  writable: WritableStream<Uint8Array>,
  { clearance, env, upload }: Under,
): Promise<void> {
  const writer = writable.getWriter();
  const { stallSeconds } = env.settings;
  try {
    for await (const piece of spooledPieces(body, (off) => env.spool.read(clearance, off)))
      await inTime(writer.write(piece), stallSeconds, upstreamFull);
    await writer.close();
  } catch (cause) {
    upload.abort(cause);
    await Promise.allSettled([writer.abort(cause)]);
  }
}

async function readPrefix(
  reader: ReadableStreamBYOBReader,
  length: number,
  seconds: number,
): Promise<Uint8Array> {
  const prefix = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { value, done } = await inTime(reader.read(new Uint8Array(length - at)), seconds, bodyStalled);
    if (done || !value) throw new Refusal("malformed", "the request body ended early");
    prefix.set(value, at);
    at += value.byteLength;
  }
  return prefix;
}

/** Chunk n leaves once chunk n is durable. A client that hangs up, or a recorder that cannot write, cuts the upload. */
async function spool(
  reader: ReadableStreamBYOBReader,
  writable: WritableStream<Uint8Array>,
  prefix: Uint8Array,
  { clearance, env, upload, object }: Under,
): Promise<void> {
  const { spool: record, settings } = env;
  const writer = writable.getWriter();
  const { stallSeconds } = settings;
  const whole = object && new WholeObject(object);
  const write = async (bytes: Uint8Array) => {
    if (bytes.byteLength > 0) await inTime(writer.write(bytes), stallSeconds, upstreamFull);
  };
  const pass = (bytes: Uint8Array) => write(whole?.pass(bytes) ?? bytes);
  const within = <T>(read: Promise<T>) => inTime(read, stallSeconds, bodyStalled);
  const ahead = new ReadAhead(pieces(reader, within), CHUNK, moment);
  const marked = new MarkedStream(endMark(clearance));
  let off = prefix.byteLength;
  let end: BodyEnd = "cut";
  try {
    let written = pass(prefix);
    for (let taken = await ahead.take(); taken; taken = await ahead.take()) {
      const chunk = marked.pass(taken);
      if (chunk.byteLength === 0) continue;
      sure(await record.append(clearance, off, chunk));
      off += chunk.byteLength;
      await written;
      written = pass(chunk);
      // Awaited at the next chunk; until then its failure must not count as nobody's.
      written.catch(() => undefined);
    }
    await written;
    if (!marked.whole()) throw new Refusal("malformed", "the request body broke off");
    if (whole) await write(whole.last());
    end = "complete";
    sure(await record.finish(clearance, off, end));
    await writer.close();
  } catch (cause) {
    // Upstream sees a body that breaks off, never one that looks whole.
    upload.abort(cause);
    await Promise.allSettled([
      writer.abort(cause),
      reader.cancel(cause),
      end === "cut" ? record.finish(clearance, off, "cut") : undefined,
    ]);
  }
}

const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

function sure(answer: Answer<unknown>): void {
  letGo(answer);
  if ("no" in answer) throw new Refusal(answer.no.code, answer.no.message);
}

/** A no for the gateway, in headers that upstreams cannot set. The cause stays in egress's own log. */
function refused(thrown: unknown): Response {
  const refusal =
    thrown instanceof Refusal
      ? thrown
      : new Refusal("upstream_unreachable", "the upstream cannot be reached", { cause: thrown });
  console.error(
    JSON.stringify({
      level: "warn",
      code: refusal.code,
      message: refusal.message,
      cause: String(refusal.cause ?? ""),
    }),
  );
  return new Response(refusal.message, {
    status: refusal.status,
    headers: { "steno-refusal": refusal.code },
  });
}
