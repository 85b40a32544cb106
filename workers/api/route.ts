/** The console API's one table: the router, the roles and the OpenAPI document are made from it. */
import type { Role } from "#workers/identity/role.ts";

export type Route = {
  readonly operation:
    | "listSessions"
    | "showSession"
    | "killSession"
    | "eraseSession"
    | "holdSession"
    | "listApprovals"
    | "showApproval"
    | "approve"
    | "deny"
    | "breakGlass"
    | "comment"
    | "listStanding"
    | "showStanding"
    | "grantStanding"
    | "joinStanding"
    | "revokeStanding"
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
  readonly takes?: "Erasure" | "LegalHold" | "Verdict" | "Comment" | "StandingTerms" | "StandingGroups";
  /** Only for somebody who logged in a moment ago. */
  readonly recent?: true;
  /** What a 200 holds: a schema of the document, or text. */
  readonly gives:
    | "SessionList"
    | "Session"
    | "ApprovalList"
    | "Approval"
    | "StandingList"
    | "Standing"
    | "OpenApi"
    | "text";
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
    operation: "listApprovals",
    method: "get",
    path: "/api/v1/approvals",
    summary: "What waits for a decision, and what became of the rest: the newest 1,000",
    roles: ["approver", "auditor"],
    gives: "ApprovalList",
    refusals: [503],
  },
  {
    operation: "showApproval",
    method: "get",
    path: "/api/v1/approvals/{approval}",
    summary: "One approval with all that is known of its content; that somebody looked is recorded",
    roles: ["approver", "auditor"],
    gives: "Approval",
    refusals: [400, 404, 503],
  },
  {
    operation: "approve",
    method: "post",
    path: "/api/v1/approvals/{approval}/approve",
    summary: "Approves it for a group of one's own that it waits for; never one's own operation",
    roles: ["approver"],
    recent: true,
    takes: "Verdict",
    gives: "Approval",
    refusals: [400, 404, 409, 413, 503],
  },
  {
    operation: "deny",
    method: "post",
    path: "/api/v1/approvals/{approval}/deny",
    summary: "Denies it, which ends it",
    roles: ["approver"],
    recent: true,
    takes: "Verdict",
    gives: "Approval",
    refusals: [400, 404, 409, 413, 503],
  },
  {
    operation: "breakGlass",
    method: "post",
    path: "/api/v1/approvals/{approval}/break-glass",
    summary: "Lets it through alone, with a reason, where one is of a group that may: loudly, and in the log",
    roles: ["approver"],
    recent: true,
    takes: "Comment",
    gives: "Approval",
    refusals: [400, 404, 409, 413, 503],
  },
  {
    operation: "comment",
    method: "post",
    path: "/api/v1/approvals/{approval}/comment",
    summary: "Says something that whoever waits reads, and the record keeps",
    roles: ["approver"],
    takes: "Comment",
    gives: "Approval",
    refusals: [400, 404, 409, 413, 503],
  },
  {
    operation: "listStanding",
    method: "get",
    path: "/api/v1/standing",
    summary: "What is approved in advance, and what was: the newest 1,000",
    roles: ["approver", "auditor"],
    gives: "StandingList",
    refusals: [503],
  },
  {
    operation: "showStanding",
    method: "get",
    path: "/api/v1/standing/{standing}",
    summary: "One standing approval",
    roles: ["approver", "auditor"],
    gives: "Standing",
    refusals: [400, 404, 503],
  },
  {
    operation: "grantStanding",
    method: "post",
    path: "/api/v1/standing",
    summary:
      "Approves in advance, for groups of one's own and for a while, what a Cedar text describes; in the log",
    roles: ["approver"],
    recent: true,
    takes: "StandingTerms",
    gives: "Standing",
    refusals: [400, 413, 429, 503],
  },
  {
    operation: "joinStanding",
    method: "post",
    path: "/api/v1/standing/{standing}/join",
    summary: "Grants it as well, for holds that take more people than one",
    roles: ["approver"],
    recent: true,
    takes: "StandingGroups",
    gives: "Standing",
    refusals: [400, 404, 409, 413, 503],
  },
  {
    operation: "revokeStanding",
    method: "post",
    path: "/api/v1/standing/{standing}/revoke",
    summary: "Ends it: nothing passes by it any more, and what is under way by it is cut",
    roles: ["approver"],
    takes: "Verdict",
    gives: "Standing",
    refusals: [400, 404, 413, 503],
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
