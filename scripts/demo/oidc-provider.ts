// A real OpenID Connect provider on loopback, for the demo and for the tests: JWT access tokens for the audiences it
// was given, key rotation on demand, and tokens signed to be wrong.
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, SignJWT } from "jose";
import {
  buildProvider,
  insider,
  loginGrant,
  type Provider,
  type ProviderOptions,
  signInPage,
} from "./oidc-engine.ts";

export interface TokenRequest {
  readonly sub: string;
  readonly audience: string;
  /** In place of the groups that the user has. */
  readonly groups?: readonly string[];
  /** Seconds; 600 when left out. */
  readonly expiresIn?: number;
  readonly claims?: Readonly<Record<string, unknown>>;
}

export interface RunningProvider {
  readonly issuer: string;
  readonly jwksUrl: string;
  /** A token from the token endpoint, as after a login of `sub` just now. */
  token(request: TokenRequest): Promise<string>;
  /** Signs with a new key from now on; `retire` takes the keys before it out of the published set. */
  rotate(options?: { readonly retire?: boolean }): Promise<void>;
  /** How often the key set was fetched. */
  jwksHits(): number;
  /** Signs whatever it is given with the current key; a claim or header set to undefined is left out. */
  mint(claims: JWTPayload, header?: Readonly<Record<string, unknown>>): Promise<string>;
  publicJwk(): JWK;
  stop(): Promise<void>;
}

type SigningKey = JWK & { readonly kid: string };

async function newKey(algorithm: string): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return {
    ...(await exportJWK(privateKey)),
    use: "sig",
    alg: algorithm,
    kid: randomBytes(6).toString("hex"),
  };
}

/** The public half of a key, as the key set shows it. */
function publicHalf({ kty, crv, x, y, n, e, use, alg, kid }: JWK): JWK {
  const parts = Object.entries({ kty, crv, x, y, n, e, use, alg, kid });
  return Object.fromEntries(parts.filter(([, value]) => value !== undefined)) as JWK;
}

export async function startOidcProvider(options: ProviderOptions): Promise<RunningProvider> {
  const algorithm = options.algorithm ?? "ES256";
  let keys: [SigningKey, ...SigningKey[]] = [await newKey(algorithm)];
  let hits = 0;
  let provider: Provider;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const server = createServer((request, response) => {
    if (request.url === "/jwks") hits++;
    if (!request.url?.startsWith("/sign-in/")) return answer(request, response);
    signInPage(provider, options, request, response).catch((error: unknown) => {
      response.writeHead(400).end(String(error));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const rebuild = (): void => {
    provider = buildProvider(issuer, keys, options);
    answer = provider.callback();
  };
  rebuild();
  return {
    issuer,
    jwksUrl: `${issuer}/jwks`,
    token: (request) => requestToken(issuer, request),
    async rotate({ retire = false } = {}) {
      const fresh = await newKey(algorithm);
      keys = retire ? [fresh] : [fresh, ...keys];
      rebuild();
    },
    jwksHits: () => hits,
    async mint(claims, header = {}) {
      const now = Math.floor(Date.now() / 1000);
      const payload = { iss: issuer, iat: now, exp: now + 600, ...claims };
      const full = { alg: algorithm, typ: "at+jwt", kid: keys[0].kid, ...header };
      return new SignJWT(payload).setProtectedHeader(full).sign(await importJWK(keys[0], algorithm));
    },
    publicJwk: () => publicHalf(keys[0]),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function requestToken(issuer: string, request: TokenRequest): Promise<string> {
  const { sub, audience, groups, expiresIn = 600, claims } = request;
  const response = await fetch(`${issuer}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa(`${insider.id}:${insider.secret}`)}` },
    body: new URLSearchParams({
      grant_type: loginGrant,
      login: sub,
      audience,
      expires_in: String(expiresIn),
      claims: JSON.stringify({ ...(groups === undefined ? {} : { groups }), ...claims }),
    }),
  });
  const answer = (await response.json()) as {
    access_token?: string;
    error?: string;
    error_description?: string;
  };
  if (answer.access_token === undefined) throw new Error(`token endpoint: ${JSON.stringify(answer)}`);
  return answer.access_token;
}
