/** `ApprovalView` as JSON Schema 2020-12, for the OpenAPI document. Only the view of one has `events` and `shown`. */
import { APPROVAL_STEPS } from "#durable/format/approval/approval.ts";
import { SESSION_ID_PATTERN, SESSION_SCHEMA } from "./session-schema.ts";

const text = { type: "string" } as const;
const count = { type: "integer", minimum: 0 } as const;
const time = { type: "string", format: "date-time" } as const;
const { principal } = SESSION_SCHEMA.properties;

export const APPROVAL_ID_PATTERN = "^apr_[0-9A-HJKMNP-TV-Z]{26}$";

export const APPROVAL_SCHEMA = {
  type: "object",
  required: [
    "approval",
    "state",
    "openedAt",
    "expires",
    "session",
    "exchange",
    "digest",
    "principal",
    "client",
    "connection",
    "operation",
    "policies",
    "reason",
    "hold",
  ],
  properties: {
    approval: { type: "string", pattern: APPROVAL_ID_PATTERN },
    state: { enum: ["pending", "approved", "released", "denied", "expired", "void"] },
    openedAt: time,
    expires: time,
    session: { type: "string", pattern: SESSION_ID_PATTERN },
    exchange: text,
    digest: { type: "string", description: "SHA-256 over principal, connection, operation and content" },
    principal,
    client: text,
    connection: text,
    operation: { type: "object", required: ["kind"], properties: { kind: text } },
    policies: { type: "array", items: text },
    reason: text,
    justification: { ...text, description: "In the requester's words" },
    hold: {
      type: "array",
      items: { type: "object", required: ["group", "count"], properties: { group: text, count } },
    },
    events: {
      type: "array",
      items: {
        type: "object",
        required: ["n", "step", "at"],
        properties: {
          n: count,
          step: { enum: APPROVAL_STEPS },
          at: time,
          by: principal,
          text,
        },
      },
    },
    shown: {
      type: "array",
      description:
        "The frames that say what is in it: commits, changed paths, diffs, messages, how a tool's definition changed",
      items: { type: "object", required: ["k", "x"], properties: { k: text, x: text } },
    },
    soFar: {
      type: "object",
      description: "What the session that waits has done before, in names; absent when it has ended",
      required: ["openedAt", "exchanges", "denied", "taints", "done"],
      properties: {
        openedAt: time,
        exchanges: count,
        denied: count,
        taints: { type: "array", items: text },
        done: {
          type: "array",
          description: "The newest of what the node still has",
          items: {
            type: "object",
            required: ["x", "connection", "kind", "about"],
            properties: {
              ...{ x: text, at: time, connection: text, kind: text, about: text },
              verdict: { enum: ["allow", "deny", "hold"] },
              status: count,
            },
          },
        },
      },
    },
    omitted: { ...count, description: "Frames that are left out here; the session has them" },
  },
} as const;
