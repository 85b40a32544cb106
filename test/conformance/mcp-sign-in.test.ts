// An MCP client that knows nothing but the server's address: it finds the provider, registers there, signs a person in, and calls.

import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { OAuthClientInformationFull, OAuthTokens } from "@modelcontextprotocol/sdk/shared/auth.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type McpTestServer, startMcp } from "#test/support/servers/mcp.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";

const POLICY =
  '@id("tools") @reason("developers may") permit (principal in Group::"developers", action in Action::"mcp", resource);';

let oidc: OidcServer;
let server: McpTestServer;
let node: Node;

beforeAll(async () => {
  [oidc, server] = await Promise.all([startOidc({ registration: true }), startMcp()]);
  node = await startNode({
    issuer: oidc.issuer,
    connections: [{ name: "tracker", kind: "mcp", upstream: server.url }],
    policies: { "mcp.cedar": POLICY },
  });
});
afterAll(async () => {
  await node?.stop();
  await server?.stop();
  await oidc?.stop();
});

/** What an editor keeps, and where it sends its user. */
class Editor implements OAuthClientProvider {
  readonly redirectUrl = "http://127.0.0.1:49152/callback";
  asked: URL | undefined;
  known: OAuthClientInformationFull | undefined;
  kept: OAuthTokens | undefined;
  #verifier = "";
  get clientMetadata() {
    return {
      client_name: "editor",
      application_type: "native",
      redirect_uris: [this.redirectUrl],
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      scope: "openid offline_access groups",
    };
  }
  clientInformation = () => this.known;
  saveClientInformation = (known: OAuthClientInformationFull) => {
    this.known = known;
  };
  tokens = () => this.kept;
  saveTokens = (tokens: OAuthTokens) => {
    this.kept = tokens;
  };
  redirectToAuthorization = (url: URL) => {
    this.asked = url;
  };
  saveCodeVerifier = (verifier: string) => {
    this.#verifier = verifier;
  };
  codeVerifier = () => this.#verifier;
}

const address = () => new URL(`${node.gateway()}/mcp/tracker`);
async function connect(editor: Editor): Promise<Client> {
  const client = new Client({ name: "editor", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(address(), { authProvider: editor });
  await client.connect(transport as Parameters<Client["connect"]>[0]);
  return client;
}

test("it registers, has its user sign in with PKCE and for this server, calls a tool, and renews its token by itself", async () => {
  const editor = new Editor();
  const first = new StreamableHTTPClientTransport(address(), { authProvider: editor });
  const client = new Client({ name: "editor", version: "1.0.0" });
  await expect(client.connect(first as Parameters<Client["connect"]>[0])).rejects.toThrow(UnauthorizedError);
  expect(editor.known).toMatchObject({
    client_id: expect.stringMatching(/^.{8,}$/),
    redirect_uris: [editor.redirectUrl],
    token_endpoint_auth_method: "none",
  });
  const asked = editor.asked?.searchParams;
  expect([asked?.get("code_challenge_method"), asked?.get("resource")]).toEqual(["S256", address().href]);

  const back = await oidc.signIn(editor.asked ?? "", "alice");
  await first.finishAuth(back.searchParams.get("code") ?? "");
  const signedIn = await connect(editor);
  expect((await signedIn.callTool({ name: "echo", arguments: { text: "hi" } })).content).toEqual([
    { type: "text", text: "hi" },
  ]);
  await signedIn.close();

  const [access, refresh] = [editor.kept?.access_token, editor.kept?.refresh_token];
  expect(refresh).toMatch(/^.{16,}$/);
  // Its token is no good any more: it gets another without its user.
  editor.kept = { ...(editor.kept as OAuthTokens), access_token: "stale" };
  editor.asked = undefined;
  const renewed = await connect(editor);
  expect(await renewed.listTools()).toMatchObject({ tools: expect.any(Array) });
  expect(editor.asked).toBeUndefined();
  expect(editor.kept?.access_token).not.toBe(access);
  await renewed.close();
});

test("a token for another audience of the same provider is not accepted, and leads to the provider again", async () => {
  const other = await oidc.token({ sub: "alice", audience: "steno-console" });
  const response = await fetch(address(), {
    method: "POST",
    headers: { authorization: `Bearer ${other}`, "content-type": "application/json" },
    body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  });
  expect(response.status).toBe(401);
  expect(response.headers.get("www-authenticate")).toContain("resource_metadata=");
});

test("whoever brings a token of their own finds no way to sign in that would have them forget it", async () => {
  const own = await fetch(`${node.gateway()}/mcp-token/tracker`, { method: "POST", body: "{}" });
  expect([own.status, own.headers.get("www-authenticate")]).toEqual([401, null]);
  for (const path of [
    "/.well-known/oauth-protected-resource/mcp-token/tracker",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
  ])
    expect([path, (await fetch(`${node.gateway()}${path}`)).status]).toEqual([path, 404]);
});

test("steno check says whether MCP clients can register at the provider", async () => {
  const { out } = await node.cli("check");
  expect(out).toContain(`MCP clients can register at ${oidc.issuer}`);
});
