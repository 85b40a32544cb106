/** An issuer that signs whatever a test wants, and counts how often its keys are fetched. */
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";
import type { Answer } from "#durable/format/tape.ts";
import type { Issuer, Issuers } from "#workers/contract/issuers.ts";
import { type Authenticate, makeAuthenticator } from "#workers/identity/token.ts";

export const ISSUER = "https://idp.example";
export const START = Date.UTC(2026, 10, 22, 9, 0, 0);

export const SETTINGS: Issuer = {
  issuer: ISSUER,
  audience: "steno",
  consoleAudience: "steno-console",
  groupsClaim: "groups",
  algorithms: ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"],
};

export type Signer = {
  readonly kid: string | undefined;
  readonly alg: string;
  readonly key: CryptoKey;
  readonly jwk: JWK;
};

export async function signer(alg: string, kid: string | undefined): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(publicKey);
  return { kid, alg, key: privateKey, jwk: kid === undefined ? jwk : { ...jwk, kid, use: "sig", alg } };
}

/** Claims of a token that is accepted on the agents' socket. `undefined` leaves a claim out. */
export const claims = (over: Record<string, unknown> = {}): JWTPayload => {
  const seconds = START / 1000;
  const all = {
    iss: ISSUER,
    aud: "steno",
    sub: "alice",
    groups: ["eng"],
    iat: seconds,
    exp: seconds + 600,
    ...over,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
};

export function sign(by: Signer, over: Record<string, unknown> = {}, header: object = {}): Promise<string> {
  const kid = by.kid === undefined ? {} : { kid: by.kid };
  return new SignJWT(claims(over))
    .setProtectedHeader({ alg: by.alg, typ: "at+jwt", ...kid, ...header })
    .sign(by.key);
}

export const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** The issuer's end of the RPC: what it publishes now, or that it is down. */
export class Published implements Issuers {
  keys: readonly JWK[];
  down = false;
  fetches = 0;
  /** What a fetch waits for. */
  gate: Promise<void> = Promise.resolve();

  constructor(...signers: Signer[]) {
    this.keys = signers.map(({ jwk }) => jwk);
  }

  async jwks(_index: number): Promise<Answer<string>> {
    this.fetches++;
    await this.gate;
    if (this.down) return { no: { code: "identity_unavailable", message: "connection refused" } };
    return { ok: JSON.stringify({ keys: this.keys }) };
  }
}

export class Clock {
  at = START;
  readonly now = (): number => this.at;
  pass(ms: number): void {
    this.at += ms;
  }
}

export function authenticator(
  keys: Issuers,
  clock: Clock,
  over: Partial<Issuer> & { socket?: "agent" | "console" } = {},
): Authenticate {
  const { socket = "agent", ...settings } = over;
  return makeAuthenticator({
    issuers: [{ ...SETTINGS, ...settings }],
    keys,
    now: clock.now,
    audience: socket,
  });
}
