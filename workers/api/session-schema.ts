/** `SessionView` as JSON Schema 2020-12, for the OpenAPI document. */

const text = { type: "string" } as const;
const count = { type: "integer", minimum: 0 } as const;
const time = { type: "string", format: "date-time" } as const;

export const SESSION_ID_PATTERN = "^ses_[0-9A-HJKMNP-TV-Z]{26}$";

const principal = {
  type: "object",
  required: ["issuer", "subject", "groups"],
  properties: {
    issuer: text,
    subject: text,
    name: text,
    groups: { type: "array", items: text },
    agent: text,
  },
} as const;

export const SESSION_SCHEMA = {
  type: "object",
  required: [
    "session",
    "status",
    "principal",
    "client",
    "openedAt",
    "frames",
    "exchanges",
    "denied",
    "bytes",
    "backlog",
  ],
  properties: {
    session: { type: "string", pattern: SESSION_ID_PATTERN },
    status: { enum: ["open", "closing", "sealed"] },
    principal,
    client: text,
    conversation: text,
    openedAt: time,
    endedAt: time,
    reason: { enum: ["request", "idle", "max", "killed", "truncated"] },
    frames: count,
    exchanges: count,
    denied: count,
    bytes: { ...count, description: "Body bytes recorded, both directions" },
    backlog: { ...count, description: "Bytes that wait for the archive" },
    root: text,
    erasure: {
      type: "object",
      required: ["at", "reason", "state"],
      properties: { at: time, reason: text, state: { enum: ["begun", "done"] } },
    },
    legalHold: { type: "object", required: ["at", "reason"], properties: { at: time, reason: text } },
  },
} as const;
