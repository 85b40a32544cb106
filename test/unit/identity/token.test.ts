import { exportSPKI, importJWK, SignJWT } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import type { Authenticate } from "#workers/identity/token.ts";
import {
  authenticator,
  Clock,
  claims,
  encoded,
  ISSUER,
  Published,
  SETTINGS,
  type Signer,
  START,
  sign,
  signer,
} from "./issuer.ts";

let es256: Signer;
let rs256: Signer;
beforeAll(async () => {
  [es256, rs256] = await Promise.all([signer("ES256", "ec-1"), signer("RS256", "rsa-1")]);
});

const refused = async (authenticate: Authenticate, token: string): Promise<Refusal> => {
  const thrown = await authenticate(token).catch((cause: unknown) => cause);
  if (!(thrown instanceof Refusal)) throw new Error("not refused", { cause: thrown });
  return thrown;
};

describe("a token of the configured issuer is accepted", () => {
  test.each(["ES256", "ES384", "EdDSA", "Ed25519", "RS256", "PS256"])("signed with %s", async (alg) => {
    const key = await signer(alg, "k");
    const found = await authenticator(new Published(key), new Clock())(await sign(key));
    expect(found).toEqual({
      principal: { issuer: ISSUER, subject: "alice", groups: ["eng"] },
      expires: START + 600_000,
      issuedAt: START,
    });
  });

  test("signed with Ed25519 by a key that is published as EdDSA", async () => {
    const key = await signer("EdDSA", "k");
    const { principal } = await authenticator(
      new Published(key),
      new Clock(),
    )(await sign({ ...key, alg: "Ed25519" }));
    expect(principal.subject).toBe("alice");
  });

  test("with name, one group as text, the acting agent and the time of login", async () => {
    const token = await sign(es256, {
      name: "Alice\u202e A.",
      groups: "eng",
      act: { sub: "cursor-1", act: { sub: "older" } },
      auth_time: START / 1000 - 100,
    });
    const found = await authenticator(new Published(es256), new Clock())(token);
    expect(found.principal).toEqual({
      issuer: ISSUER,
      subject: "alice",
      name: "Alice A.",
      groups: ["eng"],
      agent: "cursor-1",
    });
    expect(found.authenticatedAt).toBe(START - 100_000);
  });

  test("with groups from the configured claim, and none when the claim is absent", async () => {
    const authenticate = authenticator(new Published(es256), new Clock(), {
      groupsClaim: "https://idp.example/teams",
    });
    const teams = { "https://idp.example/teams": ["b", "a", "b"] };
    expect((await authenticate(await sign(es256, teams))).principal.groups).toEqual(["b", "a"]);
    expect((await authenticate(await sign(es256))).principal.groups).toEqual([]);
  });

  test("without kid, when one of a few keys signed it", async () => {
    const [first, second] = await Promise.all([signer("ES256", undefined), signer("ES256", undefined)]);
    const authenticate = authenticator(new Published(first, second), new Clock());
    expect((await authenticate(await sign(second))).principal.subject).toBe("alice");
  });

  test("for several audiences, when ours is one and our other socket's is not", async () => {
    const token = await sign(es256, { aud: ["account", "steno"] });
    expect((await authenticator(new Published(es256), new Clock())(token)).principal.subject).toBe("alice");
  });

  test("up to a minute before it is valid and after it expired: clocks differ", async () => {
    const authenticate = authenticator(new Published(es256), new Clock());
    const seconds = START / 1000;
    for (const over of [{ nbf: seconds + 59 }, { iat: seconds + 59 }, { exp: seconds - 59 }]) {
      expect((await authenticate(await sign(es256, over))).principal.subject).toBe("alice");
    }
  });
});

describe("a token is refused, and its sentence does not say why", () => {
  test.each([
    ["of another issuer", { iss: "https://evil.example" }, "issuer is not configured"],
    ["of an issuer that differs by a slash", { iss: `${ISSUER}/` }, "issuer is not configured"],
    ["without issuer", { iss: undefined }, "issuer is not configured"],
    ["for another audience", { aud: "payroll" }, "aud"],
    ["for an audience that begins like ours", { aud: "steno2" }, "aud"],
    ["without audience", { aud: undefined }, "aud"],
    ["of the console, on the agents' socket", { aud: "steno-console" }, "aud"],
    ["that is for both of our sockets", { aud: ["steno", "steno-console"] }, "both our audiences"],
    ["that is not valid yet", { nbf: START / 1000 + 61 }, "nbf"],
    ["that was issued in the future", { iat: START / 1000 + 61 }, "in the future"],
    ["without exp", { exp: undefined }, "exp"],
    ["with exp as text", { exp: "tomorrow" }, "exp"],
    ["that lives for weeks", { exp: START / 1000 + 15 * 86_400 }, "longer than a day"],
    [
      "that lives for weeks and hides when it was issued",
      { iat: undefined, exp: START / 1000 + 15 * 86_400 },
      "day",
    ],
    ["without subject", { sub: undefined }, "sub"],
    ["with an empty subject", { sub: "" }, "sub"],
    ["with a number as subject", { sub: 7 }, "sub"],
    ["with groups as object", { groups: { eng: true } }, "groups"],
    ["with groups of mixed values", { groups: ["eng", 7] }, "groups"],
    ["with groups null", { groups: null }, "groups"],
    ["with an agent that names nobody", { act: {} }, "sub"],
    ["with an agent as text", { act: "cursor" }, "act"],
  ])("%s", async (_which, over, cause) => {
    const refusal = await refused(authenticator(new Published(es256), new Clock()), await sign(es256, over));
    expect(refusal.code).toBe("unauthenticated");
    expect(refusal.message).toBe("the token was not accepted");
    expect(String((refusal.cause as Error).message)).toContain(cause);
  });

  test("of an agent, on the console", async () => {
    const authenticate = authenticator(new Published(es256), new Clock(), { socket: "console" });
    expect((await refused(authenticate, await sign(es256))).message).toBe("the token was not accepted");
    const { principal } = await authenticate(await sign(es256, { aud: "steno-console" }));
    expect(principal.subject).toBe("alice");
  });

  test("that is an id_token for the login client", async () => {
    const token = await sign(es256, { aud: "login-client", nonce: "n" }, { typ: "JWT" });
    expect((await refused(authenticator(new Published(es256), new Clock()), token)).code).toBe(
      "unauthenticated",
    );
  });

  test.each(["logout+jwt", "dpop+jwt", "secevent+jwt", "application/token-introspection+jwt"])(
    "that is a %s",
    async (typ) => {
      const token = await sign(es256, {}, { typ });
      const refusal = await refused(authenticator(new Published(es256), new Clock()), token);
      expect((refusal.cause as Error).message).toContain("another type");
    },
  );

  test("with one byte of its claims changed", async () => {
    const [head = "", , mac = ""] = (await sign(es256)).split(".");
    const forged = `${head}.${encoded(claims({ sub: "root" }))}.${mac}`;
    const refusal = await refused(authenticator(new Published(es256), new Clock()), forged);
    expect((refusal.cause as Error).message).toContain("no key of the issuer signed");
  });

  test("signed by a stranger's key under a known kid", async () => {
    const token = await sign(await signer("ES256", "ec-1"));
    expect((await refused(authenticator(new Published(es256), new Clock()), token)).code).toBe(
      "unauthenticated",
    );
  });

  test.each(["x", "a.b", "a.b.c", "..", "e30.e30.", "a.b.c.d.e"])("that is no JWT: %s", async (token) => {
    const refusal = await refused(authenticator(new Published(es256), new Clock()), token);
    expect(refusal.message).toBe("the token was not accepted");
  });

  test("that is giant", async () => {
    const keys = new Published(es256);
    const token = await sign(es256, { filler: "x".repeat(20_000) });
    expect((await refused(authenticator(keys, new Clock()), token)).message).toBe("the token is too long");
    expect(keys.fetches).toBe(0);
  });
});

test("an expired token is told that it expired", async () => {
  const token = await sign(es256, { exp: START / 1000 - 61 });
  const refusal = await refused(authenticator(new Published(es256), new Clock()), token);
  expect(refusal.message).toBe("the token has expired");
});

test("an expired token with a wrong signature is not told so", async () => {
  const token = await sign(await signer("ES256", "ec-1"), { exp: START / 1000 - 61 });
  const refusal = await refused(authenticator(new Published(es256), new Clock()), token);
  expect(refusal.message).toBe("the token was not accepted");
});

describe("algorithms that prove nothing are refused although they are configured, before any key is fetched", () => {
  const algorithms = ["none", "HS256", "HS384", "HS512", "ES256", "RS256"];

  test("alg none", async () => {
    const keys = new Published(es256);
    for (const alg of ["none", "None", "NONE"]) {
      const token = `${encoded({ alg, typ: "JWT" })}.${encoded(claims())}.`;
      const refusal = await refused(authenticator(keys, new Clock(), { algorithms }), token);
      expect((refusal.cause as Error).message).toContain("algorithm is not accepted");
    }
    expect(keys.fetches).toBe(0);
  });

  test("HS256 signed with the bytes of the public key", async () => {
    const keys = new Published(rs256);
    const publicKey = await importJWK({ ...rs256.jwk }, "RS256", { extractable: true });
    if (publicKey instanceof Uint8Array) throw new Error("not a key");
    const pem = await exportSPKI(publicKey);
    const secrets = [pem, pem.trim(), JSON.stringify(rs256.jwk), rs256.jwk.n ?? ""];
    for (const secret of secrets) {
      const token = await new SignJWT(claims())
        .setProtectedHeader({ alg: "HS256", kid: "rsa-1" })
        .sign(new TextEncoder().encode(secret));
      const refusal = await refused(authenticator(keys, new Clock(), { algorithms }), token);
      expect((refusal.cause as Error).message).toContain("algorithm is not accepted");
    }
    expect(keys.fetches).toBe(0);
  });

  test("an accepted algorithm that this issuer is not configured for", async () => {
    const authenticate = authenticator(new Published(rs256), new Clock(), { algorithms: ["ES256"] });
    expect((await refused(authenticate, await sign(rs256))).code).toBe("unauthenticated");
  });
});

describe("settings that could never be right stop the start", () => {
  test("one audience for both sockets", () => {
    const over = { consoleAudience: SETTINGS.audience };
    expect(() => authenticator(new Published(), new Clock(), over)).toThrow(
      "audience and console_audience must differ",
    );
  });

  test("no algorithm that is accepted", () => {
    const over = { algorithms: ["none", "HS256"] };
    expect(() => authenticator(new Published(), new Clock(), over)).toThrow(
      "none of its algorithms is accepted",
    );
  });
});
