/** The console's JSON API: who is at work, and an end to it. It returns no content of any recording. */
import { type Context, Hono } from "hono";
import * as v from "valibot";
import { ApprovalId, SessionId, StandingId } from "#durable/format/ids.ts";
import { Reference } from "#durable/format/log/attestation.ts";
import type { Principal } from "#durable/format/principal.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Scope } from "#workers/contract/evaluator.ts";
import type { Custody, Decide, Kill, Read, Standing } from "#workers/contract/recorder.ts";
import type { Roles } from "#workers/contract/settings.ts";
import { carriedToken } from "#workers/identity/carrier.ts";
import { rolesOf } from "#workers/identity/role.ts";
import type { Authenticate, Authenticated } from "#workers/identity/token.ts";
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
  readonly decide: Decide;
  readonly standing: Standing;
  readonly scope: Scope;
  readonly now: () => number;
  /** How long ago somebody who decides may have logged in. */
  readonly loginSeconds: number;
  /** The longest that something can be approved in advance; 0: not at all. */
  readonly standingSeconds: number;
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
  killSession: async (context, { kill }, principal) =>
    context.json(granted(await kill.kill(sessionOf(context), known(principal)))),
  eraseSession: async (context, { custody }, principal) => {
    const { reason } = await bodyOf(context, Erasure);
    return context.json(granted(await custody.erase(sessionOf(context), known(principal), reason)));
  },
  holdSession: async (context, { custody }, principal) => {
    const { reason, state } = await bodyOf(context, LegalHold);
    return context.json(
      granted(await custody.legalHold(sessionOf(context), known(principal), state, reason)),
    );
  },
  listApprovals: async (context, { decide }) => context.json({ approvals: granted(await decide.list()) }),
  showApproval: async (context, { decide }, principal) =>
    context.json(granted(await decide.show(approvalOf(context), known(principal)))),
  approve: async (context, { decide }, principal) => {
    const { comment } = (await bodyOf(context, Verdict)) ?? {};
    return context.json(granted(await decide.approve(approvalOf(context), known(principal), comment)));
  },
  deny: async (context, { decide }, principal) => {
    const { comment } = (await bodyOf(context, Verdict)) ?? {};
    return context.json(granted(await decide.deny(approvalOf(context), known(principal), comment)));
  },
  breakGlass: async (context, { decide }, principal) => {
    const { comment } = await bodyOf(context, Comment);
    return context.json(granted(await decide.breakGlass(approvalOf(context), known(principal), comment)));
  },
  comment: async (context, { decide }, principal) => {
    const { comment } = await bodyOf(context, Comment);
    return context.json(granted(await decide.comment(approvalOf(context), known(principal), comment)));
  },
  listStanding: async (context, { standing }) => context.json({ standing: granted(await standing.list()) }),
  showStanding: async (context, { standing }) =>
    context.json(granted(await standing.show(standingOf(context)))),
  grantStanding: async (context, { standing, scope, standingSeconds }, principal) => {
    const { minutes, ...terms } = await bodyOf(context, StandingTerms);
    const seconds = minutes * 60;
    if (standingSeconds === 0) throw new Refusal("denied", "nothing is approved in advance on this node");
    if (seconds > standingSeconds)
      throw new Refusal("malformed", `minutes: at most ${Math.floor(standingSeconds / 60)} on this node`);
    granted(await scope.check(terms.scope));
    return context.json(granted(await standing.grant({ ...terms, seconds }, known(principal))));
  },
  joinStanding: async (context, { standing }, principal) => {
    const { groups } = await bodyOf(context, StandingGroups);
    return context.json(granted(await standing.join(standingOf(context), groups, known(principal))));
  },
  revokeStanding: async (context, { standing }, principal) => {
    const { comment } = (await bodyOf(context, Verdict)) ?? {};
    return context.json(granted(await standing.revoke(standingOf(context), known(principal), comment)));
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
  const found = await parts.authenticate(carriedBearer(context.req.raw.headers));
  const { principal } = found;
  if (principal.agent !== undefined) throw new Refusal("denied", "an agent has no role on the console");
  const held = rolesOf(principal, parts.roles);
  if (!route.roles.some((role) => held.has(role)))
    throw new Refusal("denied", `this takes the role ${route.roles.join(" or ")}`);
  if (route.recent) requireRecent(found, parts);
  return principal;
}

/** What the issuer says of the login counts; one that says nothing of it is asked for a fresh token. */
function requireRecent(
  { authenticatedAt, issuedAt }: Authenticated,
  { now, loginSeconds }: ConsoleParts,
): void {
  const at = authenticatedAt ?? issuedAt;
  if (at === undefined || at + loginSeconds * 1000 < now())
    throw new Refusal("denied", `this takes a login of the last ${loginSeconds} s: log in again`);
}

function known(principal: Principal | undefined): Principal {
  if (!principal) throw new Error("a route that does something has no roles");
  return principal;
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

const COMMENT_MAX = 1_000;
const Words = v.pipe(
  v.string(),
  v.trim(),
  v.nonEmpty("must not be empty"),
  v.maxLength(COMMENT_MAX, `must have at most ${COMMENT_MAX} characters`),
  v.regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, "must be one line of printable text"),
);
const Verdict = v.optional(v.strictObject({ comment: v.optional(Words) }));
const Comment = v.strictObject({ comment: Words });

const Groups = v.pipe(
  v.array(v.pipe(v.string(), v.nonEmpty("must name a group"), v.maxLength(200))),
  v.minLength(1, "must name the groups you grant it as"),
  v.maxLength(20, "must be at most 20"),
);
const StandingGroups = v.strictObject({ groups: Groups });
const StandingTerms = v.strictObject({
  scope: v.pipe(
    v.string(),
    v.nonEmpty("must not be empty"),
    v.maxLength(4_000, "must have at most 4000 characters"),
  ),
  reason: Words,
  groups: Groups,
  minutes: v.pipe(v.number(), v.integer("must be a whole number"), v.minValue(1, "must be at least 1")),
});

const PATIENCE_MS = 10_000;

async function bodyOf<const S extends v.GenericSchema>(context: Asked, schema: S): Promise<v.InferOutput<S>> {
  const parsed = v.safeParse(schema, await jsonBody(context.req.raw, PATIENCE_MS));
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Refusal("malformed", `${v.getDotPath(issue) ?? "the body"}: ${issue.message}`);
}

function approvalOf(context: Asked): ApprovalId {
  const parsed = v.safeParse(ApprovalId, context.req.param("approval"));
  if (!parsed.success) throw new Refusal("malformed", "that is not the id of an approval");
  return parsed.output;
}

function standingOf(context: Asked): StandingId {
  const parsed = v.safeParse(StandingId, context.req.param("standing"));
  if (!parsed.success) throw new Refusal("malformed", "that is not the id of a standing approval");
  return parsed.output;
}

function sessionOf(context: Asked): SessionId {
  const parsed = v.safeParse(SessionId, context.req.param("session"));
  if (!parsed.success) throw new Refusal("malformed", "that is not the id of a session");
  return parsed.output;
}
