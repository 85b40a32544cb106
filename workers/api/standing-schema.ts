/** `StandingRow` as JSON Schema 2020-12, for the OpenAPI document, and what is sent to grant one. */
import { SESSION_SCHEMA } from "./session-schema.ts";

const text = { type: "string" } as const;
const time = { type: "string", format: "date-time" } as const;
const { principal } = SESSION_SCHEMA.properties;
const groups = { type: "array", minItems: 1, maxItems: 20, items: text } as const;

export const STANDING_ID_PATTERN = "^sta_[0-9A-HJKMNP-TV-Z]{26}$";

export const STANDING_SCHEMA = {
  type: "object",
  required: ["standing", "state", "scope", "reason", "from", "until", "grants"],
  properties: {
    standing: { type: "string", pattern: STANDING_ID_PATTERN },
    state: { enum: ["live", "revoked", "over"] },
    scope: { ...text, description: "Cedar: it covers an operation when these policies allow all of it" },
    reason: text,
    from: time,
    until: time,
    grants: {
      type: "array",
      items: { type: "object", required: ["by", "at"], properties: { by: principal, at: time } },
    },
    revoked: {
      type: "object",
      required: ["by", "at"],
      properties: { by: principal, at: time, text },
    },
  },
} as const;

export const STANDING_TERMS = {
  type: "object",
  required: ["scope", "reason", "groups", "minutes"],
  properties: {
    scope: { ...text, minLength: 1, maxLength: 4000 },
    reason: {
      ...text,
      description: "One line; the record of whatever passes by it refers to it",
      minLength: 1,
      maxLength: 1000,
    },
    groups: { ...groups, description: "Groups of one's own, as which one grants it" },
    minutes: { type: "integer", minimum: 1 },
  },
} as const;

export const STANDING_GROUPS = {
  type: "object",
  required: ["groups"],
  properties: { groups },
} as const;
