/** The OpenAPI 3.1 document of the console API, made from the route table. */
import { APPROVAL_ID_PATTERN, APPROVAL_SCHEMA } from "./approval-schema.ts";
import { ROUTES, type Route } from "./route.ts";
import { SESSION_ID_PATTERN, SESSION_SCHEMA } from "./session-schema.ts";
import { STANDING_GROUPS, STANDING_ID_PATTERN, STANDING_SCHEMA, STANDING_TERMS } from "./standing-schema.ts";

type Json = Readonly<Record<string, unknown>>;

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

/** Why a route may say no, by status. */
const REFUSED: Readonly<Record<number, string>> = {
  400: "The request is not understood",
  401: "No token, or one that is not accepted here",
  403: "The role is missing",
  404: "There is no such thing",
  409: "It is not in a state for this",
  413: "The body is too large",
  429: "There are too many",
  503: "The recorder or the identity provider does not answer",
};

export function openapi(): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of ROUTES) paths[route.path] = { ...paths[route.path], [route.method]: operation(route) };
  return {
    openapi: "3.1.1",
    info: {
      title: "Steno console",
      version: "1",
      description: "Who is and was at work, and what waits for approval. What sessions recorded is not here.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      securitySchemes: {
        console: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: "A token of the identity provider for the console's audience; an agent's is refused",
        },
      },
      schemas: {
        Session: SESSION_SCHEMA,
        SessionList: SESSION_LIST,
        OpenApi: { type: "object" },
        Erasure: ERASURE,
        LegalHold: LEGAL_HOLD,
        Approval: APPROVAL_SCHEMA,
        ApprovalList: APPROVAL_LIST,
        Standing: STANDING_SCHEMA,
        StandingList: STANDING_LIST,
        StandingTerms: STANDING_TERMS,
        StandingGroups: STANDING_GROUPS,
        Verdict: { type: "object", properties: { comment: COMMENT } },
        Comment: { type: "object", required: ["comment"], properties: { comment: COMMENT } },
        Problem: PROBLEM,
      },
    },
  };
}

const SESSION_LIST: Json = {
  type: "object",
  required: ["sessions"],
  properties: { sessions: { type: "array", items: ref("Session") } },
};

const REASON: Json = {
  type: "string",
  description: "Names a case that is kept elsewhere; stays in the log, in clear",
  pattern: "^[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}$",
};

const ERASURE: Json = { type: "object", required: ["reason"], properties: { reason: REASON } };

const LEGAL_HOLD: Json = {
  type: "object",
  required: ["reason", "state"],
  properties: { reason: REASON, state: { enum: ["set", "lifted"] } },
};

const APPROVAL_LIST: Json = {
  type: "object",
  required: ["approvals"],
  properties: { approvals: { type: "array", items: ref("Approval") } },
};

const STANDING_LIST: Json = {
  type: "object",
  required: ["standing"],
  properties: { standing: { type: "array", items: ref("Standing") } },
};

const PATTERNS = {
  approval: APPROVAL_ID_PATTERN,
  session: SESSION_ID_PATTERN,
  standing: STANDING_ID_PATTERN,
} as const;

const COMMENT: Json = {
  type: "string",
  description: "One line; whoever waits reads it, and the record keeps it",
  minLength: 1,
  maxLength: 1000,
};

const PROBLEM: Json = {
  type: "object",
  description: "RFC 9457",
  required: ["type", "title", "status", "detail"],
  properties: {
    type: { type: "string", format: "uri" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    instance: { type: "string", format: "uri-reference" },
  },
};

function operation(route: Route): Json {
  const guarded = route.roles.length > 0;
  const refusals = [...new Set([...(guarded ? [401, 403, 503] : []), ...route.refusals])].sort();
  const refused = refusals.map((status) => [
    String(status),
    { description: REFUSED[status], content: { "application/problem+json": { schema: ref("Problem") } } },
  ]);
  const parameters = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string", pattern: PATTERNS[name as keyof typeof PATTERNS] },
  }));
  return {
    operationId: route.operation,
    summary: route.summary,
    ...(guarded ? { description: `For the roles ${route.roles.join(", ")}.` } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(route.takes
      ? {
          requestBody: {
            required: route.takes !== "Verdict",
            content: { "application/json": { schema: ref(route.takes) } },
          },
        }
      : {}),
    security: guarded ? [{ console: [] }] : [],
    responses: {
      "200": { description: "Done", content: content(route.gives) },
      ...Object.fromEntries(refused),
    },
  };
}

const content = (gives: Route["gives"]): Json =>
  gives === "text"
    ? { "text/plain": { schema: { type: "string" } } }
    : { "application/json": { schema: ref(gives) } };
