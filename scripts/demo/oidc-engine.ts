// How oidc-provider is set up for the demo and the tests: people, clients, audiences, a sign-in page of buttons, and a
// grant that stands for a login without a browser.
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { JWK } from "jose";
// @ts-expect-error The package ships no declarations; the part that is used is declared below.
import OidcProvider, { errors as oidcErrors } from "oidc-provider";
// @ts-expect-error As above.
import MemoryAdapter from "oidc-provider/lib/adapters/memory_adapter.js";

export interface Person {
  readonly groups: readonly string[];
  readonly name: string;
  readonly email: string;
}

export interface ProviderClient {
  readonly id: string;
  /** Without a secret it is a public client that may use the device flow. */
  readonly secret?: string;
  readonly redirects?: readonly string[];
  /** What its access tokens are for when it names no resource; the first audience when left out. */
  readonly audience?: string;
  /** The groups of the client itself, in tokens it gets by client credentials. */
  readonly groups?: readonly string[];
}

export interface ProviderOptions {
  readonly algorithm?: "ES256" | "EdDSA" | "RS256";
  readonly users: Readonly<Record<string, Person>>;
  readonly audiences: readonly string[];
  readonly clients?: readonly ProviderClient[];
  readonly port?: number;
  /** Programs may register themselves (RFC 7591). */
  readonly registration?: boolean;
}

interface Token {
  readonly accountId?: string;
  readonly clientId?: string;
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly resourceServer?: ResourceServer;
  save(): Promise<string>;
  readonly expiration: number;
}

interface Grant {
  addOIDCScope(scope: string): void;
  addResourceScope(resource: string, scope: string): void;
  save(): Promise<string>;
}

interface Interaction {
  readonly params: { readonly client_id: string; readonly resource?: string };
}

interface LoginSource {
  readonly authTime?: number;
}

interface Context {
  readonly oidc: {
    readonly client: { readonly clientId: string };
    readonly params: Readonly<Record<string, string | undefined>>;
    readonly entities: Readonly<Record<string, LoginSource | undefined>>;
  };
  body?: unknown;
  type?: string;
}

export interface Provider {
  readonly AccessToken: new (input: object) => Token;
  readonly Grant: new (input: { accountId: string; clientId: string }) => Grant;
  readonly ResourceServer: new (identifier: string, config: ResourceServer) => object;
  registerGrantType(name: string, act: (context: Context) => Promise<void>, params: readonly string[]): void;
  callback(): (request: IncomingMessage, response: ServerResponse) => void;
  interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>;
  interactionFinished(
    request: IncomingMessage,
    response: ServerResponse,
    result: object,
    options: { mergeWithLastSubmission: boolean },
  ): Promise<void>;
  on(event: string, act: (context: Context, error: Error) => void): void;
}

interface ResourceServer {
  readonly scope: string;
  readonly audience: string;
  readonly accessTokenFormat: "jwt";
  readonly accessTokenTTL: number;
  readonly jwt: { readonly sign: { readonly alg: string } };
}

// A class of its own, because at the sight of its own class the package warns that memory forgets.
class Memory extends MemoryAdapter {}

const scopes = "openid offline_access profile email groups";
export const loginGrant = "urn:steno:grant-type:login";
const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code";
/** The client behind `token()`; its secret never leaves this Node program. */
export const insider = { id: "steno-login", secret: randomBytes(24).toString("base64url") };

/** RFC 8707 wants an absolute URI; an audience that is none gets one. */
export const resourceOf = (audience: string): string =>
  URL.canParse(audience) ? audience : `urn:steno:audience:${encodeURIComponent(audience)}`;

/** What a token for a resource is for: an audience by its own name, and the first one for an MCP server's address. */
const audienceOf = (audiences: readonly string[], resource: string): string | undefined =>
  audiences.find((candidate) => resourceOf(candidate) === resource) ??
  (/^https?:\/\/[^/]+\/mcp\//.test(resource) ? audiences[0] : undefined);

/** The package's own pages load a font from the internet. `form` is the id of the form that the button submits. */
function show(context: Context, content: string, form?: string): void {
  const button =
    form === undefined ? "" : `<button form="${form}" name="logout" value="yes">Continue</button>`;
  context.type = "html";
  context.body = `<!doctype html><title>Sign in</title>${content}${button}`;
}

function clientMetadata(client: ProviderClient): object {
  const redirects = client.redirects ?? [];
  const code = redirects.length > 0 ? ["authorization_code", "refresh_token"] : [];
  const own = client.secret === undefined ? [deviceGrant] : ["client_credentials"];
  return {
    client_id: client.id,
    ...(client.secret === undefined ? { application_type: "native" } : { client_secret: client.secret }),
    token_endpoint_auth_method: client.secret === undefined ? "none" : "client_secret_basic",
    redirect_uris: redirects,
    response_types: redirects.length > 0 ? ["code"] : [],
    grant_types: [...code, ...own, ...(client.id === insider.id ? [loginGrant] : [])],
  };
}

function resourceServer(options: ProviderOptions, audience: string, ttl: number): ResourceServer {
  const sign = { alg: options.algorithm ?? "ES256" };
  return { scope: scopes, audience, accessTokenFormat: "jwt", accessTokenTTL: ttl, jwt: { sign } };
}

function claimsOf(options: ProviderOptions, context: Context, token: Token): Record<string, unknown> {
  const person = token.accountId === undefined ? undefined : options.users[token.accountId];
  const client = options.clients?.find((candidate) => candidate.id === token.clientId);
  const { AuthorizationCode, DeviceCode, RefreshToken } = context.oidc.entities;
  const login = AuthorizationCode ?? DeviceCode ?? RefreshToken;
  return {
    ...(person ?? (token.accountId === undefined ? { groups: client?.groups ?? [] } : {})),
    ...(login?.authTime === undefined ? {} : { auth_time: login.authTime }),
    ...token.extra,
  };
}

/** A provider over these keys; several built one after another share sessions, grants and codes. */
export function buildProvider(issuer: string, keys: readonly JWK[], options: ProviderOptions): Provider {
  const { algorithm = "ES256", users, audiences, clients = [] } = options;
  const lifetime = (_: Context, token: Token) => token.resourceServer?.accessTokenTTL ?? 600;
  const provider: Provider = new OidcProvider(issuer, {
    adapter: Memory,
    jwks: { keys },
    cookies: { keys: [insider.secret] },
    clients: [...clients, insider].map(clientMetadata),
    clientDefaults: { id_token_signed_response_alg: algorithm },
    scopes: scopes.split(" "),
    claims: { openid: ["sub", "auth_time"], profile: ["name"], email: ["email"], groups: ["groups"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    clientBasedCORS: () => false,
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "EdDSA"] },
    findAccount: (_: Context, id: string) => {
      const person = users[id];
      return person && { accountId: id, claims: () => ({ sub: id, ...person }) };
    },
    extraTokenClaims: (context: Context, token: Token) => claimsOf(options, context, token),
    renderError: (context: Context, out: Readonly<Record<string, string>>) => {
      context.body = Object.entries(out)
        .map(([name, value]) => `${name}: ${value}\n`)
        .join("");
    },
    interactions: { url: (_: Context, { uid }: { uid: string }) => `/sign-in/${uid}` },
    ttl: {
      AccessToken: lifetime,
      ClientCredentials: lifetime,
      DeviceCode: 300,
      IdToken: 600,
      RefreshToken: 86_400,
      Session: 3600,
      Grant: 86_400,
      Interaction: 600,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: options.registration === true },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: (context: Context, form: string) => show(context, form, "op.deviceInputForm"),
        userCodeConfirmSource: (context: Context, form: string, ...[, , code]: readonly unknown[]) =>
          show(context, `Is ${code} the code on your device? ${form}`, "op.deviceConfirmForm"),
        successSource: (context: Context) => show(context, "Signed in. This page can be closed."),
      },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (context: Context, form: string) => show(context, form, "op.logoutForm"),
        postLogoutSuccessSource: (context: Context) => show(context, "Signed out."),
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_: Context, client: { clientId: string }) =>
          resourceOf(clients.find(({ id }) => id === client.clientId)?.audience ?? audiences[0] ?? issuer),
        useGrantedResource: () => true,
        getResourceServerInfo: (_: Context, resource: string) => {
          const audience = audienceOf(audiences, resource);
          if (audience === undefined) throw new oidcErrors.InvalidTarget();
          return resourceServer(options, audience, 600);
        },
      },
    },
  });
  provider.registerGrantType(loginGrant, (context) => grantLogin(provider, options, context), [
    "login",
    "audience",
    "expires_in",
    "claims",
  ]);
  provider.on("server_error", (_, error) => console.error(error));
  return provider;
}

/** The grant behind `token()`: a person's access token for an audience, without a browser. */
async function grantLogin(provider: Provider, options: ProviderOptions, context: Context): Promise<void> {
  const { login = "", audience = "", expires_in, claims = "{}" } = context.oidc.params;
  if (!options.audiences.includes(audience)) throw new oidcErrors.InvalidTarget();
  const server = resourceServer(options, audience, Number(expires_in));
  const token = new provider.AccessToken({
    accountId: login,
    client: context.oidc.client,
    gty: "login",
    resourceServer: new provider.ResourceServer(resourceOf(audience), server),
    extra: { auth_time: Math.floor(Date.now() / 1000), ...JSON.parse(claims) },
  });
  context.body = { access_token: await token.save(), token_type: "Bearer", expires_in: token.expiration };
}

/** The page of `/sign-in/<uid>`: a button for each person; pressing one is login and consent in one step. */
export async function signInPage(
  provider: Provider,
  options: ProviderOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { params } = await provider.interactionDetails(request, response);
  if (request.method !== "POST") {
    const buttons = Object.keys(options.users).map(
      (id) => `<button name="login" value="${id}">${id}</button>`,
    );
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(`<!doctype html><title>Sign in</title><form method="post">${buttons.join(" ")}</form>`);
    return;
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const accountId = new URLSearchParams(body).get("login") ?? "";
  if (options.users[accountId] === undefined) {
    response.writeHead(400).end("unknown person");
    return;
  }
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(scopes);
  for (const audience of options.audiences) grant.addResourceScope(resourceOf(audience), scopes);
  if (params.resource !== undefined) grant.addResourceScope(params.resource, scopes);
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}
