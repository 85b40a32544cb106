// The identity provider of the tests is a real one: its tokens verify with a stock library, its key rotates.
import { createHash, randomBytes } from "node:crypto";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeProtectedHeader,
  type JSONWebKeySet,
  jwtVerify,
} from "jose";
import { expect, test } from "vitest";
import { accepts } from "#test/support/servers/children.ts";
import { startOidc } from "#test/support/servers/oidc.ts";

test.each(["ES256", "EdDSA", "RS256"] as const)(
  "issues access tokens that verify against its %s key",
  async (algorithm) => {
    const server = await startOidc({ algorithm });
    const keys = createRemoteJWKSet(new URL(server.jwksUrl));
    const token = await server.token({ sub: "alice", audience: "steno", expiresIn: 60 });
    const checks = { issuer: server.issuer, audience: "steno", typ: "at+jwt" };
    const { payload, protectedHeader } = await jwtVerify(token, keys, checks);
    expect(protectedHeader.alg).toBe(algorithm);
    expect(payload).toMatchObject({ sub: "alice", groups: ["developers"], aud: "steno" });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
    const bot = await server.token({ sub: "ci", audience: "steno-console", groups: ["bots"] });
    expect((await jwtVerify(bot, keys)).payload).toMatchObject({
      sub: "ci",
      groups: ["bots"],
      aud: "steno-console",
    });
    expect(server.jwksHits()).toBe(1);
    await expect(server.token({ sub: "alice", audience: "elsewhere" })).rejects.toThrow("invalid_target");
    await server.stop();
  },
);

test("the provider rotates its key, keeps the one before it until that is retired, and signs wrong tokens on request", async () => {
  const server = await startOidc();
  const keys = createRemoteJWKSet(new URL(server.jwksUrl), { cooldownDuration: 0 });
  const first = await server.token({ sub: "bob", audience: "steno" });
  await server.rotate();
  const second = await server.token({ sub: "bob", audience: "steno" });
  expect(decodeProtectedHeader(second).kid).not.toBe(decodeProtectedHeader(first).kid);
  await jwtVerify(first, keys);
  await jwtVerify(second, keys);
  await server.rotate({ retire: true });
  const published = (await (await fetch(server.jwksUrl)).json()) as JSONWebKeySet;
  expect(published.keys).toEqual([server.publicJwk()]);
  const verify = (token: string) => jwtVerify(token, createLocalJWKSet(published), { audience: "steno" });
  await expect(verify(second)).rejects.toMatchObject({ code: "ERR_JWKS_NO_MATCHING_KEY" });
  await verify(await server.mint({ sub: "bob", aud: "steno" }));
  await expect(verify(await server.mint({ sub: "bob", aud: "steno", exp: 1 }))).rejects.toMatchObject({
    code: "ERR_JWT_EXPIRED",
  });
  expect(decodeProtectedHeader(await server.mint({}, { kid: undefined, typ: "JWT" }))).toEqual({
    alg: "ES256",
    typ: "JWT",
  });
  await server.stop();
  expect(await accepts(Number(new URL(server.url).port))).toBe(false);
});

test("a person signs in by the device flow, and by code with PKCE", async () => {
  const redirect = "http://127.0.0.1:9/callback";
  const web = { id: "console", secret: "console-secret", redirects: [redirect], audience: "steno-console" };
  const server = await startOidc({ clients: [{ id: "cli" }, web] });
  const post = async (path: string, fields: Record<string, string>): Promise<Record<string, string>> =>
    (await (
      await fetch(server.issuer + path, { method: "POST", body: new URLSearchParams(fields) })
    ).json()) as Record<string, string>;
  const keys = createRemoteJWKSet(new URL(server.jwksUrl));
  const device = await post("/device/auth", { client_id: "cli", scope: "openid groups" });
  await server.signIn(device["verification_uri_complete"] ?? "", "alice");
  const fromDevice = await post("/token", {
    client_id: "cli",
    grant_type: "urn:ietf:params:oauth:grant-type:device_code",
    device_code: device["device_code"] ?? "",
  });
  const checked = await jwtVerify(fromDevice["access_token"] ?? "", keys, { audience: "steno" });
  expect(checked.payload).toMatchObject({
    sub: "alice",
    groups: ["developers"],
    auth_time: expect.any(Number),
  });

  const verifier = randomBytes(32).toString("base64url");
  const start = new URL(`${server.issuer}/auth`);
  start.search = new URLSearchParams({
    client_id: "console",
    response_type: "code",
    scope: "openid groups",
    redirect_uri: redirect,
    state: "state",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  }).toString();
  const end = await server.signIn(start, "carol");
  expect(end.searchParams.get("state")).toBe("state");
  const answer = await fetch(`${server.issuer}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa("console:console-secret")}` },
    body: new URLSearchParams({
      grant_type: "authorization_code",
      code: end.searchParams.get("code") ?? "",
      redirect_uri: redirect,
      code_verifier: verifier,
    }),
  });
  const { id_token } = (await answer.json()) as { id_token: string };
  const login = await jwtVerify(id_token, keys, { audience: "console" });
  expect(login.payload).toMatchObject({ sub: "carol", groups: ["security"] });
  await server.stop();
});
