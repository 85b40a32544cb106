/** One JWT against one configured issuer's keys: signature, then every claim that decides. */
import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTHeaderParameters,
  type JWTPayload,
  jwtVerify,
} from "jose";
import type { Issuer } from "#workers/contract/issuers.ts";
import type { IssuerCache } from "./issuer-cache.ts";
import { safeAlgorithms } from "./key-set.ts";

/** How far the issuer's clock and ours may be apart. */
export const SKEW_SECONDS = 60;
/** Longest life of a token. Whoever needs longer asks the issuer again. */
export const LIFE_SECONDS = 24 * 3600;

/** RFC 9068 access tokens, plain JWTs, and those that do not say. Not logout tokens, proofs, events. */
const TYPES = new Set(["at+jwt", "jwt"]);

export type Rules = {
  readonly issuer: Issuer;
  readonly algorithms: readonly string[];
  /** The audience it must be for, and the other one of ours, which it must not be for as well. */
  readonly audience: string;
  readonly other: string;
};

/** Throws when the configuration could never accept, or could mix up, a token: better at start than at night. */
export function rulesFor(issuer: Issuer, audience: "agent" | "console"): Rules {
  if (issuer.audience === issuer.consoleAudience) {
    throw new Error(`identity.oidc ${issuer.issuer}: audience and console_audience must differ`);
  }
  const algorithms = safeAlgorithms(issuer.algorithms);
  if (algorithms.length === 0) {
    throw new Error(`identity.oidc ${issuer.issuer}: none of its algorithms is accepted`);
  }
  return audience === "agent"
    ? { issuer, algorithms, audience: issuer.audience, other: issuer.consoleAudience }
    : { issuer, algorithms, audience: issuer.consoleAudience, other: issuer.audience };
}

export type Unverified = { readonly header: JWTHeaderParameters; readonly payload: JWTPayload };

/** Reads without believing: only to find whose keys to ask. Throws when it is no JWT. */
export function unverified(token: string): Unverified {
  return { header: decodeProtectedHeader(token) as JWTHeaderParameters, payload: decodeJwt(token) };
}

export type Verified = { readonly payload: JWTPayload; readonly generation: number };

/** Throws jose's errors and plain ones for a token that is not accepted, a Refusal when there are no keys. */
export async function verify(
  token: string,
  header: JWTHeaderParameters,
  against: { rules: Rules; cache: IssuerCache; index: number; now: number },
): Promise<Verified> {
  const { rules, cache, index, now } = against;
  // Before any key is looked up: a foreign algorithm must not even cause a fetch.
  if (!rules.algorithms.includes(header.alg)) throw new Error("the token's algorithm is not accepted");
  let known = await cache.current(index);
  let keys = await known.keys.candidates(header);
  if (keys.length === 0) {
    known = await cache.newer(index, known);
    keys = await known.keys.candidates(header);
  }
  const payload = await signedBy(keys, token, rules, now);
  checkRest(header, payload, rules, now);
  return { payload, generation: known.generation };
}

async function signedBy(
  keys: readonly CryptoKey[],
  token: string,
  rules: Rules,
  now: number,
): Promise<JWTPayload> {
  let failure: unknown;
  for (const key of keys) {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [...rules.algorithms],
        issuer: rules.issuer.issuer,
        audience: rules.audience,
        clockTolerance: SKEW_SECONDS,
        currentDate: new Date(now),
        requiredClaims: ["exp", "sub"],
      });
      return payload;
    } catch (cause) {
      if (!(cause instanceof errors.JWSSignatureVerificationFailed)) throw cause;
      failure = cause;
    }
  }
  throw new Error("no key of the issuer signed this token", { cause: failure });
}

function checkRest(header: JWTHeaderParameters, payload: JWTPayload, rules: Rules, now: number): void {
  const { typ } = header;
  if (typ !== undefined && !TYPES.has(typ.toLowerCase().replace(/^application\//, ""))) {
    throw new Error("a JWT of another type");
  }
  if ([payload.aud].flat().includes(rules.other)) throw new Error("the token is for both our audiences");
  const { exp = 0, iat } = payload;
  const seconds = Math.floor(now / 1000);
  if (iat !== undefined && iat > seconds + SKEW_SECONDS)
    throw new Error("the token was issued in the future");
  if (exp - (iat ?? seconds) > LIFE_SECONDS + SKEW_SECONDS)
    throw new Error("the token lives longer than a day");
}
