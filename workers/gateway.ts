/** The gateway service: the agents' socket. Decodes and decides; holds no credential and opens no connection. */
import { WorkerEntrypoint } from "cloudflare:workers";
import * as v from "valibot";
import type { ConnectionKind } from "#durable/format/connection.ts";
import { ConnectionName, mintExchangeId } from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Adapter, Incoming } from "./adapters/adapter.ts";
import { gitAdapter } from "./adapters/git/adapter.ts";
import { hooksAdapter } from "./adapters/hooks/adapter.ts";
import { httpAdapter } from "./adapters/http/adapter.ts";
import { llmAdapter } from "./adapters/llm/adapter.ts";
import { mcpAdapter } from "./adapters/mcp/adapter.ts";
import { sessionRoutes } from "./api/sessions.ts";
import { type Env, gatewayEnv } from "./env.ts";
import { apiToken, carriedToken } from "./identity/carrier.ts";
import { makeAuthenticator } from "./identity/token.ts";
import { Analysis } from "./mask/analysis/analysis.ts";
import { Detectors } from "./mask/detectors.ts";
import { Taints } from "./pipeline/decision/taints.ts";
import type { Means, Received } from "./pipeline/exchange.ts";
import { Cancellations } from "./pipeline/hold/cancellations.ts";
import { run } from "./pipeline/pipeline.ts";
import { remembering } from "./policy/remembering.ts";

/** Adding a kind without an adapter does not compile. */
const adapters: Readonly<Record<ConnectionKind, Adapter>> = {
  git: gitAdapter as Adapter,
  http: httpAdapter as Adapter,
  llm: llmAdapter as Adapter,
  hooks: hooksAdapter as Adapter,
  mcp: mcpAdapter as Adapter,
};

type Answer = (request: Request, ctx: ExecutionContext) => Promise<Response>;

/** One per isolate: verified tokens and issuers' keys are remembered between requests. */
let answer: Answer | undefined;

export class Gateway extends WorkerEntrypoint<Env> {
  override fetch(request: Request): Promise<Response> {
    answer ??= host(this.env);
    return answer(request, this.ctx as ExecutionContext);
  }
}

function host(raw: Env): Answer {
  const env = gatewayEnv(raw);
  const now = () => Date.now();
  const identify = makeAuthenticator({
    issuers: env.settings.issuers,
    keys: env.issuers,
    now,
    audience: "agent",
  });
  const authenticate = async (request: Request): Promise<Principal> =>
    (await identify(tokenOf(request))).principal;
  const detectors = new Detectors(env.settings.mask);
  const { analyzer } = env.settings.mask;
  const analysis = analyzer && new Analysis(env.analyzer, analyzer);
  const evaluator = remembering(env.evaluator, now);
  const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
  const taints = new Taints();
  const cancellations = new Cancellations();
  const means = (ctx: ExecutionContext): Means => ({
    settings: env.settings,
    adapters,
    authenticate,
    evaluator,
    detectors,
    analysis,
    taints,
    cancellations,
    append: env.append,
    hold: env.hold,
    pins: env.pins,
    egress: env.egress,
    now,
    random,
    meanwhile: (work) => ctx.waitUntil(work),
  });
  const app = sessionRoutes({
    append: env.append,
    hold: env.hold,
    authenticate,
    issuers: env.settings.issuers.map(({ issuer }) => issuer),
    connections: env.settings.connections.map(({ name, kind }) => {
      const upstream = env.settings.remotes?.[name];
      return { name, kind, ...(upstream !== undefined && { upstream }) };
    }),
  });
  return async (request, ctx) => {
    const { stallSeconds } = env.settings;
    const received = receive(request, now(), random, { stallSeconds, detectors, analysis });
    return received ? run(received, means(ctx)) : app.fetch(request, raw, ctx);
  };
}

/** Only the clients of model APIs have a key where others have a token. */
function tokenOf({ headers, url }: Request): string {
  const { pathname, search } = new URL(url);
  return pathname.startsWith("/llm/") ? apiToken(headers, search) : carriedToken(headers);
}

/** The same servers for clients that hold a token and are not to be told how to sign in. */
const MCP_TOKEN = "mcp-token";

/** An exchange when the URL is `/<kind>/<connection>/…`; undefined for the gateway's own paths. */
function receive(
  request: Request,
  at: number,
  random: (length: number) => Uint8Array,
  means: Pick<Incoming, "stallSeconds" | "detectors" | "analysis">,
): Received | undefined {
  const { pathname, search } = new URL(request.url);
  const [, mount = "", named = ""] = pathname.split("/", 3);
  const kind = mount === MCP_TOKEN ? "mcp" : mount;
  const parsed = v.safeParse(ConnectionName, named);
  if (!Object.hasOwn(adapters, kind) || !parsed.success) return undefined;
  const name = parsed.output;
  const adapter = adapters[kind as ConnectionKind];
  const incoming: Incoming = {
    request,
    connection: { name, kind: adapter.kind, bodies: "full" },
    path: pathname.slice(mount.length + name.length + 2) || "/",
    query: search,
    ...means,
  };
  return { x: mintExchangeId(at, random(10)), incoming, adapter };
}
