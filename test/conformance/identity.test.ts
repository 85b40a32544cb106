// Identity in bare workerd against a real OpenID Connect provider: discovery, real tokens, rotation, many requests at once.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { build } from "esbuild";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accepts, type Child, startChild, until, workspace } from "#test/support/servers/children.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { freePort } from "#test/support/servers/ports.ts";

const workerd = createRequire(import.meta.url).resolve("workerd/bin/workerd");

type Identity = { as(token: string, at?: string): Promise<unknown>; stop(): Promise<void> };

async function startIdentity(provider: OidcServer, name: string): Promise<Identity> {
  const space = workspace(name);
  const port = await freePort();
  await build({
    entryPoints: [join(import.meta.dirname, "../workerd/identity-worker.ts")],
    outfile: join(space.path, "worker.js"),
    bundle: true,
    format: "esm",
    conditions: ["workerd"],
    external: ["cloudflare:*", "node:*"],
  });
  writeFileSync(join(space.path, "config.capnp"), config(provider.issuer, port));
  const child: Child = startChild(workerd, ["serve", "config.capnp"], {
    cwd: space.path,
    log: join(space.path, "log"),
  });
  await until(() => accepts(port), "workerd listens");
  return {
    async as(token, at = "agent") {
      const url = `http://127.0.0.1:${port}/${at}`;
      return (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).json();
    },
    async stop() {
      await child.stop();
      space.remove();
    },
  };
}

describe.each(["ES256", "EdDSA", "RS256"] as const)("with a provider that signs with %s", (algorithm) => {
  let provider: OidcServer;
  let identity: Identity;

  beforeAll(async () => {
    provider = await startOidc({ algorithm });
    identity = await startIdentity(provider, `identity-${algorithm}`);
  });
  afterAll(async () => {
    await identity.stop();
    await provider.stop();
  });

  const as = (token: string, at?: string) => identity.as(token, at);
  const from = (sub: string, audience = "steno") => provider.token({ sub, audience });
  const refused = { code: "unauthenticated", message: "the token was not accepted" };

  test("many first requests at once are all known, after one look at the provider's keys", async () => {
    const tokens = await Promise.all(Array.from({ length: 40 }, (_, i) => from(i % 2 ? "alice" : "bob")));
    const before = provider.jwksHits();
    const answers = await Promise.all(tokens.map((token) => as(token)));
    for (const answer of answers) expect(answer).toMatchObject({ principal: { issuer: provider.issuer } });
    expect(provider.jwksHits() - before).toBe(1);
  });

  test("a person is known by subject and groups, and an agent for a person by both", async () => {
    const token = await provider.token({
      sub: "alice",
      audience: "steno",
      claims: { act: { sub: "cursor-1" } },
    });
    const { principal, expires } = (await as(token)) as { principal: unknown; expires: number };
    expect(principal).toMatchObject({ subject: "alice", groups: ["developers"], agent: "cursor-1" });
    expect(Math.abs(expires - Date.now() - 600_000)).toBeLessThan(10_000);
  });

  test("an agent's token is refused by the console, and a console's by the agents' socket", async () => {
    expect(await as(await from("alice", "steno-console"))).toMatchObject(refused);
    expect(await as(await from("alice"), "console")).toMatchObject(refused);
    expect(await as(await from("carol", "steno-console"), "console")).toMatchObject({
      principal: { subject: "carol", groups: ["security"] },
    });
  });

  test("tokens that the provider's own key signed wrongly are refused", async () => {
    const hour = Math.floor(Date.now() / 1000) + 3600;
    const good = { sub: "alice", aud: "steno" };
    expect(await as(await provider.mint(good))).toMatchObject({
      principal: { subject: "alice", groups: [] },
    });
    expect(await as(await provider.mint({ ...good, exp: 1 }))).toMatchObject({
      message: "the token has expired",
    });
    for (const wrong of [
      { exp: undefined },
      { nbf: hour },
      { iss: "https://x" },
      { sub: undefined },
      { groups: {} },
    ]) {
      expect(await as(await provider.mint({ ...good, ...wrong } as typeof good))).toMatchObject(refused);
    }
    const hmac = new SignJWT({ ...good, iss: provider.issuer, exp: hour }).setProtectedHeader({
      alg: "HS256",
    });
    const secret = new TextEncoder().encode(JSON.stringify(provider.publicJwk()));
    expect(await as(await hmac.sign(secret))).toMatchObject(refused);
  });

  test("garbage is refused, and nothing of it reaches the provider", async () => {
    const before = provider.jwksHits();
    for (const token of ["x", "a.b.c", "e30.e30.e30"]) expect(await as(token)).toMatchObject(refused);
    expect(provider.jwksHits()).toBe(before);
  });
});

test("after a rotation many requests with the new key are known after one more look, and a guessed kid gets no third", async () => {
  const provider = await startOidc();
  const { as, stop } = await startIdentity(provider, "identity-rotation");
  const token = (sub: string) => provider.token({ sub, audience: "steno", expiresIn: 3600 });
  const known = { principal: { issuer: provider.issuer } };
  const old = await token("alice");
  expect(await as(old)).toMatchObject(known);
  await provider.rotate();
  expect(await as(old, "agent?pass=31000")).toMatchObject(known);
  const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => token(i % 2 ? "alice" : "bob")));
  const before = provider.jwksHits();
  for (const answer of await Promise.all(tokens.map((each) => as(each)))) expect(answer).toMatchObject(known);
  expect(await as(old)).toMatchObject(known);
  expect(provider.jwksHits() - before).toBe(1);
  for (const kid of ["a", "b", "c"]) {
    const guessed = await provider.mint({ sub: "alice", aud: "steno" }, { kid });
    expect(await as(guessed)).toMatchObject({ code: "unauthenticated" });
  }
  expect(provider.jwksHits() - before).toBe(1);
  await provider.rotate({ retire: true });
  const retired = expect.stringContaining("no key of the issuer signed");
  expect(await as(tokens[0] ?? "", "agent?pass=600000")).toMatchObject({ cause: retired });
  await provider.stop();
  await stop();
});

function config(issuer: string, port: number): string {
  const settings = {
    issuer,
    audience: "steno",
    consoleAudience: "steno-console",
    groupsClaim: "groups",
    algorithms: ["RS256", "ES256", "EdDSA", "none", "HS256"],
  };
  return `using Workerd = import "/workerd/workerd.capnp";
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "ISSUER", json = ${JSON.stringify(JSON.stringify(settings))}),
    (name = "IDP", service = "idp"),
    (name = "KEYS", service = (name = "keys", entrypoint = "Keys")),
  ],
  globalOutbound = "nowhere",
);
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "keys", worker = .worker),
    (name = "idp", external = (address = "${new URL(issuer).host}", http = ())),
    (name = "nowhere", network = (allow = [])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`;
}
