// Who may speak to the gateway at all: stock git with every wrong token there is, keys that rotate, an issuer that is down.
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { GitClient } from "#test/support/git-client.ts";
import { type GitSite, SOUND, startGitSite } from "#test/support/git-site.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { header, raw } from "#test/support/tap.ts";

let site: GitSite;
let client: GitClient;
/** The identity provider after its outage. */
let returned: OidcServer | undefined;
const AUDIENCE = { sub: "alice", aud: "steno" };

beforeAll(async () => {
  site = await startGitSite();
  await tinyRepository(join(site.server.root, "app.git"));
  client = await site.client();
});
beforeEach(() => {
  site.tap.passed.length = 0;
});
afterAll(async () => {
  await site?.stop();
  await returned?.stop();
});

const refs = () => `${site.url("app.git")}/info/refs?service=git-upload-pack`;
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Tokens by what is wrong with them. */
const wrong: Readonly<Record<string, () => Promise<string>>> = {
  "is for the console": () => site.oidc.token({ sub: "alice", audience: "steno-console" }),
  "is for somebody else": () => site.oidc.mint({ sub: "alice", aud: "other" }),
  "has no audience": () => site.oidc.mint({ sub: "alice" }),
  "has expired": () => site.oidc.mint({ ...AUDIENCE, iat: 1_700_000_000, exp: 1_700_000_600 }),
  "is not valid yet": () => site.oidc.mint({ ...AUDIENCE, nbf: Math.floor(Date.now() / 1000) + 3600 }),
  "never expires": () => site.oidc.mint({ ...AUDIENCE, exp: undefined } as never),
  "has no subject": () => site.oidc.mint({ aud: "steno" }),
  "is of another issuer": () => site.oidc.mint({ ...AUDIENCE, iss: "http://127.0.0.1:1" }),
  "is signed with a key nobody published": () => site.oidc.mint(AUDIENCE, { kid: "unknown" }),
  "is unsigned": async () => {
    const claims = { ...AUDIENCE, iss: site.oidc.issuer, exp: Math.floor(Date.now() / 1000) + 600 };
    return `${encoded({ alg: "none", typ: "at+jwt" })}.${encoded(claims)}.`;
  },
  "is signed with the public key as a secret": async () => {
    const jwk = site.oidc.publicJwk();
    const key = createPublicKey({ key: jwk as never, format: "jwk" });
    const pem = Buffer.from(key.export({ type: "spki", format: "pem" }) as string);
    const token = new SignJWT(AUDIENCE).setIssuer(site.oidc.issuer).setIssuedAt().setExpirationTime("10m");
    return token.setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: jwk.kid ?? "" }).sign(pem);
  },
  "was changed after it was signed": async () => {
    const [head, , signature] = (await site.token()).split(".");
    const claims = {
      ...AUDIENCE,
      iss: site.oidc.issuer,
      groups: ["leads"],
      exp: Math.floor(Date.now() / 1000) + 600,
    };
    return `${head}.${encoded(claims)}.${signature}`;
  },
  "is garbage": async () => "garbage",
  "is longer than any token": async () => "x".repeat(20_000),
};

describe("without a token", () => {
  test("the challenge is Basic alone, which makes git ask its helper", async () => {
    const { status, headers } = await raw(refs(), {});
    expect(status).toBe(401);
    expect(header(headers, "www-authenticate")).toMatch(/^Basic realm="steno"/);
    expect(headers.filter((text) => text.toLowerCase() === "www-authenticate")).toHaveLength(1);
    expect(site.tap.passed).toEqual([]);
  });

  test("git asks, and without anybody to answer it fails", async () => {
    const nobody = await site.client({ carrier: "none" });
    const { code, stderr } = await nobody.attempt("ls-remote", site.url("app.git"));
    expect(code).toBe(128);
    expect(stderr).toContain("could not read Username");
    expect(site.tap.passed).toEqual([]);
  });

  test("git's helper is asked, and its answer is good", async () => {
    const asking = await site.client({ carrier: "helper" });
    const clone = await asking.clone(site.url("app.git"));
    expect(await asking.git("-C", clone, "rev-parse", "HEAD")).toMatch(/^[0-9a-f]{40}$/);
  });
});

describe("a token that", () => {
  test.each(Object.keys(wrong))("%s is refused, and nothing reaches the server", async (what) => {
    const token = (await wrong[what]?.()) ?? "";
    const stranger = await site.client();
    stranger.carry(token);
    const { code, stderr } = await stranger.attempt("ls-remote", site.url("app.git"));
    expect(code).toBe(128);
    expect(stderr).toMatch(/could not read Username|error: 4\d\d/);
    const { status, body } = await raw(refs(), { authorization: `Bearer ${token}` });
    expect(status).toBe(401);
    expect(body.toString()).not.toContain(token);
    expect(site.tap.passed).toEqual([]);
  });

  test("was refused is forgotten by git's helpers, so that they find another", async () => {
    const stranger = await site.client({
      carrier: "helper",
      config: '[credential]\n\thelper = "!f() { cat >> ~/told-$1; }; f"\n',
    });
    stranger.carry((await wrong["has expired"]?.()) ?? "");
    const { stderr } = await stranger.attempt("ls-remote", site.url("app.git"));
    expect(stderr).toContain("Authentication failed");
    expect(readFileSync(join(stranger.home, "told-erase"), "utf8")).toContain("username=agent");
    expect(site.tap.passed).toEqual([]);
  });

  test.each([
    ["Digest", 'Digest username="alice"'],
    ["Negotiate", "Negotiate abc"],
    ["no scheme", "abc"],
    ["Basic without a colon", `Basic ${btoa("alice")}`],
    ["Basic that is not base64", "Basic !!!"],
  ])("comes as %s is refused", async (_, authorization) => {
    const { status, headers } = await raw(refs(), { authorization });
    expect(status).toBe(401);
    expect(header(headers, "www-authenticate")).toMatch(/^Basic /);
    expect(site.tap.passed).toEqual([]);
  });

  test("comes in the query, in a cookie or as an API key counts for nothing", async () => {
    const token = await site.token();
    for (const headers of [{ cookie: `token=${token}` }, { "x-api-key": token }])
      expect((await raw(refs(), headers)).status).toBe(401);
    expect((await raw(`${refs()}&access_token=${token}`, {})).status).toBe(401);
    expect(site.tap.passed).toEqual([]);
  });
});

test("somebody unknown learns nothing of which connections there are", async () => {
  const known = await raw(refs(), {});
  const unknown = await raw(`${site.url("app.git", "other")}/info/refs?service=git-upload-pack`, {});
  expect(unknown.status).toBe(known.status);
  expect(unknown.body.toString()).toBe(known.body.toString());
});

test("a session of somebody else cannot be joined", async () => {
  const mine = await raw(refs(), { authorization: `Bearer ${await site.token("alice")}` });
  const session = header(mine.headers, "steno-session") ?? "";
  site.tap.passed.length = 0;
  const config = `[http "${site.node.gateway()}"]\n\textraHeader = Steno-Session: ${session}\n`;
  const bob = await site.client({ sub: "bob", config });
  const { code, stderr } = await bob.attempt("ls-remote", site.url("app.git"));
  expect(code).toBe(128);
  expect(stderr).toContain(`session ${session} is not one of yours`);
  expect(site.tap.passed).toEqual([]);
});

describe("keys and their issuer", () => {
  test("a token of a new key is accepted while the node runs, and one of an old key still is", async () => {
    const before = await site.token();
    await site.oidc.rotate();
    const fresh = await site.client();
    // The node looks for new keys at most every 30 s, whatever strangers send; here a stranger may just have made it look.
    await expect
      .poll(async () => (await fresh.attempt("ls-remote", site.url("app.git"))).code, {
        timeout: 120_000,
        interval: 500,
      })
      .toBe(0);
    client.carry(before);
    expect(await client.git("ls-remote", site.url("app.git"))).toContain("refs/heads/main");
  });

  test("while the issuer is down, known keys serve: whoever has a token goes on working", async () => {
    const [known, unseen] = [await site.token("alice"), await site.token("bob")];
    client.carry(known);
    await client.git("ls-remote", site.url("app.git"));
    const port = Number(new URL(site.oidc.issuer).port);
    await site.oidc.stop();
    for (const token of [known, unseen]) {
      client.carry(token);
      expect(await client.git("ls-remote", site.url("app.git"))).toContain("refs/heads/main");
    }
    returned = await startOidc({ port });
  });
});

test("all of it is sealed and verifies, and who was not known is recorded as refused, without what they sent", async () => {
  expect(await site.seal(returned)).toEqual(SOUND);
  const { exchanges } = await site.recording();
  const refused = [...exchanges.values()].filter(
    ({ response }) => response?.refusal?.code === "unauthenticated",
  );
  expect(refused.length).toBeGreaterThan(30);
  expect(new Set(refused.map(({ session }) => session)).size).toBe(1);
  for (const { request, decision, response, sent } of refused) {
    expect(response?.status).toBe(401);
    expect(decision).toBe(undefined);
    expect(request.headers).toEqual([]);
    expect(sent.bytes.byteLength).toBe(0);
    expect(request.path).not.toMatch(/access_token=[^*]/);
  }
});
