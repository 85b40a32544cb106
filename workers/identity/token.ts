/** From a token to the principal, or to a refusal that says no more than it must. */
import { errors } from "jose";
import type { Principal } from "#durable/format/principal.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Issuer, Issuers } from "#workers/contract/issuers.ts";
import { TOKEN_MAX } from "./carrier.ts";
import { principalOf } from "./claims.ts";
import { IssuerCache } from "./issuer-cache.ts";
import { rulesFor, unverified, verify } from "./oidc.ts";
import { Remembered } from "./remembered.ts";

export type Authenticated = {
  readonly principal: Principal;
  /** Milliseconds since 1970. */
  readonly expires: number;
  /** When the person logged in (`auth_time`), milliseconds since 1970; absent when the issuer does not say. */
  readonly authenticatedAt?: number;
  /** When the token was made (`iat`), milliseconds since 1970; absent when it does not say. */
  readonly issuedAt?: number;
};

/** Throws a Refusal, `unauthenticated` or `identity_unavailable`. Its cause is for the record only. */
export type Authenticate = (token: string) => Promise<Authenticated>;

const REMEMBERED_MAX = 10_000;

/**
 * One per isolate: it remembers keys and verified tokens. `issuers` in the order of the configuration, which is
 * the index that `keys` understands. Throws when an issuer's settings could never accept a token.
 */
export function makeAuthenticator(settings: {
  readonly issuers: readonly Issuer[];
  readonly keys: Issuers;
  readonly now: () => number;
  readonly audience: "agent" | "console";
}): Authenticate {
  const { now } = settings;
  const rules = settings.issuers.map((issuer) => rulesFor(issuer, settings.audience));
  const cache = new IssuerCache(settings.keys, now);
  const memory = new Remembered<{ index: number; generation: number; found: Authenticated }>(REMEMBERED_MAX);

  return async function authenticate(token) {
    if (token.length > TOKEN_MAX) throw new Refusal("unauthenticated", "the token is too long");
    const digest = await sha256(token);
    const remembered = memory.recall(digest, now());
    if (remembered) {
      // Keys that the issuer replaced, or that are too old to trust, take what they signed with them.
      const { generation } = await cache.current(remembered.index);
      if (generation === remembered.generation) return remembered.found;
      memory.forget(digest);
    }
    try {
      const { header, payload: claims } = unverified(token);
      const ours = rules.flatMap((rule, index) =>
        rule.issuer.issuer === claims.iss ? [{ rule, index }] : [],
      );
      const chosen = ours.find(({ rule }) => [claims.aud].flat().includes(rule.audience)) ?? ours[0];
      if (!chosen) throw new Error("the token's issuer is not configured");
      const { rule, index } = chosen;
      const { payload, generation } = await verify(token, header, { rules: rule, cache, index, now: now() });
      const found: Authenticated = {
        principal: principalOf(payload, rule.issuer.groupsClaim),
        expires: (payload.exp ?? 0) * 1000,
        ...authTime(payload["auth_time"]),
        ...(payload.iat === undefined ? {} : { issuedAt: payload.iat * 1000 }),
      };
      memory.keep(digest, { index, generation, found }, found.expires);
      return found;
    } catch (cause) {
      if (cause instanceof Refusal) throw cause;
      throw notAccepted(cause);
    }
  };
}

function authTime(value: unknown): { authenticatedAt?: number } {
  return typeof value === "number" && Number.isFinite(value) ? { authenticatedAt: value * 1000 } : {};
}

async function sha256(token: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return String.fromCharCode(...new Uint8Array(digest));
}

function notAccepted(cause: unknown): Refusal {
  const sentence =
    cause instanceof errors.JWTExpired ? "the token has expired" : "the token was not accepted";
  return new Refusal("unauthenticated", sentence, { cause });
}
