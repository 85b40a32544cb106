/** The agents' socket's own sessions: open, look, end. One's own only; the recorder decides whose a session is. */
import { type Context, Hono } from "hono";
import * as v from "valibot";
import { ApprovalId, SessionId } from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { SessionView } from "#durable/format/tape.ts";
import type { Append, Hold } from "#workers/contract/recorder.ts";
import { granted } from "#workers/wire/problem.ts";
import { jsonBody } from "./json-body.ts";
import { ready } from "./ready.ts";
import { type App, consoleLog, type Log, surface, type Variables } from "./surface.ts";

export type SessionParts = {
  readonly append: Append;
  readonly hold: Hold;
  /** Of the agents' audience. Throws a Refusal. */
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** Who signs people in: what MCP's clients are led to. */
  readonly issuers?: readonly string[];
  /** What there is to connect to. */
  readonly connections?: readonly Reachable[];
  readonly log?: Log;
  /** How long a body may take. */
  readonly patienceMs?: number;
};

/** `upstream`, of git: what its remotes are called without the gateway. */
export type Reachable = { readonly name: string; readonly kind: string; readonly upstream?: string };

type Asked = Context<{ Variables: Variables }>;

const PATIENCE_MS = 10_000;
const PATH = "/v1/sessions";

const Label = v.pipe(
  v.string(),
  v.nonEmpty("must not be empty"),
  v.maxLength(200, "must have at most 200 characters"),
  v.regex(/^[^\p{C}\p{Zl}\p{Zp}]*$/u, "must be printable"),
);
const WAIT_MAX = 50;
const Seen = v.pipe(v.string(), v.regex(/^\d{1,6}$/), v.transform(Number));
const Wait = v.pipe(Seen, v.maxValue(WAIT_MAX));
const OpenRequest = v.strictObject({ client: v.optional(Label), conversation: v.optional(Label) });

/** Routes `/v1/sessions`, `/v1/approvals`, `/v1/connections`, `/v1/issuers`, `/healthz` and `/readyz`. */
export function sessionRoutes(parts: SessionParts): App {
  const { append, authenticate } = parts;
  const app: App = new Hono();
  surface(app, { realm: "steno", log: parts.log ?? consoleLog });
  app.get("/.well-known/oauth-protected-resource/mcp/:name{[a-z0-9-]+}", (context) =>
    context.json({
      resource: `${new URL(context.req.url).origin}/mcp/${context.req.param("name")}`,
      authorization_servers: parts.issuers ?? [],
      bearer_methods_supported: ["header"],
    }),
  );
  app.post(PATH, async (context) => {
    const principal = await authenticate(context.req.raw);
    const { client, conversation } = await openRequest(context.req.raw, parts.patienceMs ?? PATIENCE_MS);
    const opening = {
      principal,
      client: client ?? program(context),
      ...(conversation ? { conversation } : {}),
    };
    const view = granted(await append.open(opening));
    context.header("location", `${PATH}/${view.session}`);
    return shown(context, view, 201);
  });
  app.get(PATH, async (context) => {
    const principal = await authenticate(context.req.raw);
    return context.json({ sessions: granted(await append.own(principal)) });
  });
  app.get(`${PATH}/:session`, async (context) => {
    const principal = await authenticate(context.req.raw);
    return shown(context, granted(await append.show(principal, sessionOf(context))), 200);
  });
  app.delete(`${PATH}/:session`, async (context) => {
    const principal = await authenticate(context.req.raw);
    return shown(context, granted(await append.end(principal, sessionOf(context))), 200);
  });
  // Said before anybody has a token, so that they can get one.
  app.get("/v1/issuers", (context) => context.json({ issuers: parts.issuers ?? [] }));
  // What one may do with each is asked at every request; that they are there is said to whoever may come at all.
  app.get("/v1/connections", async (context) => {
    await authenticate(context.req.raw);
    return context.json({ connections: parts.connections ?? [] });
  });
  app.get("/v1/approvals/:approval", async (context) => {
    const principal = await authenticate(context.req.raw);
    const approval = v.safeParse(ApprovalId, context.req.param("approval"));
    if (!approval.success) throw malformed("that is not the id of an approval");
    const seen = v.safeParse(Seen, context.req.query("seen") ?? "0");
    const wait = v.safeParse(Wait, context.req.query("wait") ?? "0");
    if (!seen.success || !wait.success)
      throw malformed(`seen and wait are whole numbers, and wait is at most ${WAIT_MAX} seconds`);
    return context.json(
      granted(await parts.hold.show(approval.output, principal, seen.output, wait.output * 1000)),
    );
  });
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", async (context) => {
    await ready(() => append.ready());
    return context.text("ok\n");
  });
  return app;
}

function shown(context: Asked, view: SessionView, status: 200 | 201): Response {
  context.header("steno-session", view.session);
  return context.json(view, status);
}

function sessionOf(context: Asked): SessionId {
  const parsed = v.safeParse(SessionId, context.req.param("session"));
  if (!parsed.success) throw new Refusal("malformed", "that is not the id of a session");
  return parsed.output;
}

/** The first product of User-Agent: what a session is named by when the client does not say. */
function program(context: Asked): string {
  const first = (context.req.header("user-agent") ?? "").split(/\s/, 1)[0] ?? "";
  return v.is(Label, first) ? first : "unknown";
}

async function openRequest(request: Request, patienceMs: number): Promise<v.InferOutput<typeof OpenRequest>> {
  const value = await jsonBody(request, patienceMs);
  if (value === undefined) return {};
  if (Array.isArray(value)) throw malformed("the body is not a JSON object");
  const parsed = v.safeParse(OpenRequest, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw malformed(`${v.getDotPath(issue) ?? "the body"}: ${issue.message}`);
}

const malformed = (sentence: string): Refusal => new Refusal("malformed", sentence);
