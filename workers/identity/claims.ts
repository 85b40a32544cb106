/** What verified claims say of who asks. */
import type { JWTPayload } from "jose";
import type { Principal } from "#durable/format/principal.ts";

const TEXT_MAX = 255;

/** Throws a plain error, which never leaves the record, when a claim is not what it must be. */
export function principalOf(payload: JWTPayload, groupsClaim: string): Principal {
  const issuer = text(payload, "iss");
  const subject = text(payload, "sub");
  const name = ["name", "preferred_username", "email"].map((claim) => readable(payload[claim])).find(Boolean);
  const agent = agentOf(payload);
  return {
    issuer,
    subject,
    ...(name === undefined ? {} : { name }),
    groups: groupsOf(payload, groupsClaim),
    ...(agent === undefined ? {} : { agent }),
  };
}

function groupsOf(payload: JWTPayload, claim: string): string[] {
  if (!Object.hasOwn(payload, claim)) return [];
  const value = payload[claim];
  if (typeof value === "string") return [value];
  if (Array.isArray(value) && value.every((group) => typeof group === "string")) return [...new Set(value)];
  throw new Error(`claim ${claim} is neither a string nor an array of strings`);
}

/** RFC 8693 §4.1: the outermost `act` is who acts now. Left out, an agent would pass for the person. */
function agentOf(payload: JWTPayload): string | undefined {
  if (!Object.hasOwn(payload, "act")) return undefined;
  const act = payload["act"];
  if (typeof act !== "object" || act === null) throw new Error("claim act is not an object");
  return text(act as Readonly<Record<string, unknown>>, "sub");
}

function text(claims: Readonly<Record<string, unknown>>, claim: string): string {
  const value = claims[claim];
  if (typeof value !== "string" || value === "" || value.length > TEXT_MAX) {
    throw new Error(`claim ${claim} is not a text of 1 to ${TEXT_MAX} characters`);
  }
  return value;
}

/** For people: control characters and overlong names are dropped, they decide nothing. */
function readable(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const clean = value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "").slice(0, TEXT_MAX);
  return clean === "" ? undefined : clean;
}
