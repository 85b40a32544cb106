/** The console API's one table: the router, the roles and the OpenAPI document are made from it. */
import type { Role } from "#workers/identity/role.ts";

export type Route = {
  readonly operation:
    | "listSessions"
    | "showSession"
    | "killSession"
    | "eraseSession"
    | "holdSession"
    | "describeApi"
    | "health"
    | "readiness";
  readonly method: "get" | "post";
  /** With `{name}` for parameters, as OpenAPI writes them. */
  readonly path: string;
  readonly summary: string;
  /** Any of them may; empty means that nobody has to say who they are. */
  readonly roles: readonly Role[];
  /** What its body must be: a schema of the document. */
  readonly takes?: "Erasure" | "LegalHold";
  /** What a 200 holds: a schema of the document, or text. */
  readonly gives: "SessionList" | "Session" | "OpenApi" | "text";
  /** Refusals besides those of authentication. */
  readonly refusals: readonly number[];
};

export const ROUTES: readonly Route[] = [
  {
    operation: "listSessions",
    method: "get",
    path: "/api/v1/sessions",
    summary: "All sessions, live and sealed: what is known of them, not what they recorded",
    roles: ["auditor", "admin"],
    gives: "SessionList",
    refusals: [503],
  },
  {
    operation: "showSession",
    method: "get",
    path: "/api/v1/sessions/{session}",
    summary: "One session: what is known of it, not what it recorded",
    roles: ["auditor", "admin"],
    gives: "Session",
    refusals: [400, 404, 503],
  },
  {
    operation: "killSession",
    method: "post",
    path: "/api/v1/sessions/{session}/kill",
    summary: "Ends a session now and cuts its live exchanges; the record says who did it",
    roles: ["admin"],
    gives: "Session",
    refusals: [400, 404, 409, 503],
  },
  {
    operation: "eraseSession",
    method: "post",
    path: "/api/v1/sessions/{session}/erase",
    summary: "Destroys the key of an encrypted, sealed session; the log says by whom and for which case",
    roles: ["privacy"],
    takes: "Erasure",
    gives: "Session",
    refusals: [400, 404, 409, 413, 503],
  },
  {
    operation: "holdSession",
    method: "post",
    path: "/api/v1/sessions/{session}/legal-hold",
    summary: "Sets or lifts a legal hold: while it is set the session cannot be erased",
    roles: ["auditor"],
    takes: "LegalHold",
    gives: "Session",
    refusals: [400, 404, 409, 413, 503],
  },
  {
    operation: "describeApi",
    method: "get",
    path: "/api/v1/openapi.json",
    summary: "This document",
    roles: [],
    gives: "OpenApi",
    refusals: [],
  },
  {
    operation: "health",
    method: "get",
    path: "/healthz",
    summary: "Whether the console answers at all",
    roles: [],
    gives: "text",
    refusals: [],
  },
  {
    operation: "readiness",
    method: "get",
    path: "/readyz",
    summary: "Whether the recorder answers: without it nothing passes",
    roles: [],
    gives: "text",
    refusals: [503],
  },
];
