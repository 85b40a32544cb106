/** The console's JSON API: who is at work, and an end to it. It returns no content of any recording. */
import { type Context, Hono } from "hono";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { Reference } from "#durable/format/log/attestation.ts";
import type { Principal } from "#durable/format/principal.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Custody, Kill, Read } from "#workers/contract/recorder.ts";
import type { Roles } from "#workers/contract/settings.ts";
import { carriedToken } from "#workers/identity/carrier.ts";
import { rolesOf } from "#workers/identity/role.ts";
import type { Authenticate } from "#workers/identity/token.ts";
import { granted } from "#workers/wire/problem.ts";
import { jsonBody } from "./json-body.ts";
import { openapi } from "./openapi.ts";
import { ready } from "./ready.ts";
import { ROUTES, type Route } from "./route.ts";
import { type App, consoleLog, type Log, surface, type Variables } from "./surface.ts";

export type ConsoleParts = {
  readonly read: Read;
  readonly kill: Kill;
  readonly custody: Custody;
  /** Of the console's audience: an agent's token must not pass it. */
  readonly authenticate: Authenticate;
  readonly roles: Roles;
  readonly log?: Log;
};

type Asked = Context<{ Variables: Variables }>;
type Answering = (context: Asked, parts: ConsoleParts, principal: Principal | undefined) => Promise<Response>;

export function consoleApi(parts: ConsoleParts): App {
  const app: App = new Hono();
  surface(app, { realm: "steno-console", log: parts.log ?? consoleLog });
  for (const route of ROUTES) {
    app.on(route.method, route.path.replaceAll(/\{(\w+)\}/g, ":$1"), async (context) => {
      const principal = route.roles.length === 0 ? undefined : await admitted(context, parts, route);
      return OPERATIONS[route.operation](context, parts, principal);
    });
  }
  return app;
}

const OPERATIONS: Readonly<Record<Route["operation"], Answering>> = {
  listSessions: async (context, { read }) => context.json({ sessions: granted(await read.list()) }),
  showSession: async (context, { read }) => context.json(granted(await read.show(sessionOf(context)))),
  killSession: async (context, { kill }, principal) => {
    if (!principal) throw new Error("a route that kills has no roles");
    return context.json(granted(await kill.kill(sessionOf(context), principal)));
  },
  eraseSession: async (context, { custody }, principal) => {
    if (!principal) throw new Error("a route that erases has no roles");
    const { reason } = await bodyOf(context, Erasure);
    return context.json(granted(await custody.erase(sessionOf(context), principal, reason)));
  },
  holdSession: async (context, { custody }, principal) => {
    if (!principal) throw new Error("a route that holds has no roles");
    const { reason, state } = await bodyOf(context, LegalHold);
    return context.json(granted(await custody.legalHold(sessionOf(context), principal, state, reason)));
  },
  describeApi: async (context) => context.json(openapi()),
  health: async (context) => context.text("ok\n"),
  readiness: async (context, { read }) => {
    await ready(() => read.ready());
    return context.text("ok\n");
  },
};

/** Who asks, when they may. An agent that acts for somebody is not that person: it has no role here. */
async function admitted(context: Asked, parts: ConsoleParts, route: Route): Promise<Principal> {
  const { principal } = await parts.authenticate(carriedBearer(context.req.raw.headers));
  if (principal.agent !== undefined) throw new Refusal("denied", "an agent has no role on the console");
  const held = rolesOf(principal, parts.roles);
  if (route.roles.some((role) => held.has(role))) return principal;
  throw new Refusal("denied", `this takes the role ${route.roles.join(" or ")}`);
}

/** Browsers send Basic by themselves once they know a password; here only what a program sends on purpose counts. */
function carriedBearer(headers: Headers): string {
  if (/^basic\b/i.test(headers.get("authorization") ?? "")) {
    throw new Refusal("unauthenticated", "send the token as Bearer");
  }
  return carriedToken(headers);
}

const Erasure = v.strictObject({ reason: Reference });
const LegalHold = v.strictObject({ reason: Reference, state: v.picklist(["set", "lifted"]) });

const PATIENCE_MS = 10_000;

async function bodyOf<const S extends v.GenericSchema>(context: Asked, schema: S): Promise<v.InferOutput<S>> {
  const parsed = v.safeParse(schema, await jsonBody(context.req.raw, PATIENCE_MS));
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Refusal("malformed", `${v.getDotPath(issue) ?? "the body"}: ${issue.message}`);
}

function sessionOf(context: Asked): SessionId {
  const parsed = v.safeParse(SessionId, context.req.param("session"));
  if (!parsed.success) throw new Refusal("malformed", "that is not the id of a session");
  return parsed.output;
}
