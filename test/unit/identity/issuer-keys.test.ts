import { describe, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { fetchJwks } from "#workers/identity/issuer-keys.ts";

const ISSUER = "https://idp.example/realms/a";
const DISCOVERY = `${ISSUER}/.well-known/openid-configuration`;
const KEYS = "https://idp.example/keys";
const SET = '{"keys":[]}';

/** Answers by URL, and remembers what was asked. */
class Web {
  readonly asked: string[] = [];
  readonly #pages: Record<string, () => Response>;
  constructor(pages: Record<string, () => Response>) {
    this.#pages = pages;
  }
  async fetch(url: string, init?: RequestInit): Promise<Response> {
    this.asked.push(`${init?.redirect} ${url}`);
    const page = this.#pages[url];
    if (!page) throw new TypeError("connection refused");
    return page();
  }
}

const discovery =
  (over: object = {}) =>
  () =>
    Response.json({ issuer: ISSUER, jwks_uri: KEYS, ...over });
const keys = () => new Response(SET);

const refusal = async (web: Web, issuer = ISSUER, uri?: string): Promise<Refusal> => {
  const thrown = await fetchJwks(web, issuer, uri).catch((cause: unknown) => cause);
  if (!(thrown instanceof Refusal)) throw new Error("not refused", { cause: thrown });
  expect(thrown.code).toBe("identity_unavailable");
  return thrown;
};

test("keys are found by discovery, without following redirects", async () => {
  const web = new Web({ [DISCOVERY]: discovery(), [KEYS]: keys });
  expect(await fetchJwks(web, ISSUER)).toBe(SET);
  expect(web.asked).toEqual([`manual ${DISCOVERY}`, `manual ${KEYS}`]);
});

test("an issuer that ends in a slash is asked below it, and must name itself with it", async () => {
  const web = new Web({ [DISCOVERY]: discovery({ issuer: `${ISSUER}/` }), [KEYS]: keys });
  expect(await fetchJwks(web, `${ISSUER}/`)).toBe(SET);
});

test("configured keys are read from where they are, without discovery", async () => {
  const elsewhere = "https://keys.example/set";
  const web = new Web({ [elsewhere]: keys });
  expect(await fetchJwks(web, ISSUER, elsewhere)).toBe(SET);
  expect(web.asked).toEqual([`manual ${elsewhere}`]);
});

describe("keys are refused", () => {
  test.each([
    [
      "when discovery speaks for another issuer",
      discovery({ issuer: "https://evil.example" }),
      "identity.oidc.issuer",
    ],
    [
      "when discovery names keys elsewhere",
      discovery({ jwks_uri: "https://evil.example/k" }),
      "identity.oidc.jwks_uri",
    ],
    [
      "when discovery names keys on another port",
      discovery({ jwks_uri: "https://idp.example:8443/k" }),
      "jwks_uri",
    ],
    [
      "when discovery names keys without TLS",
      discovery({ jwks_uri: "http://idp.example/k" }),
      "identity.oidc.jwks_uri",
    ],
    ["when discovery names no keys", discovery({ jwks_uri: undefined }), "no usable jwks_uri"],
    ["when discovery names nonsense", discovery({ jwks_uri: "keys" }), "no usable jwks_uri"],
    ["when discovery is a page", () => new Response("<html>"), "not JSON"],
    ["when discovery is null", () => new Response("null"), "not a JSON object"],
    [
      "when discovery redirects",
      () => new Response(null, { status: 302, headers: { location: KEYS } }),
      "answered 302",
    ],
    ["when discovery fails", () => new Response("no", { status: 500 }), "answered 500"],
  ])("%s", async (_when, page, sentence) => {
    expect((await refusal(new Web({ [DISCOVERY]: page, [KEYS]: keys }))).message).toContain(sentence);
  });

  test.each([
    [
      "when they redirect",
      () => new Response(null, { status: 307, headers: { location: KEYS } }),
      "answered 307",
    ],
    ["when they are larger than 1 MiB", () => new Response("x".repeat(1024 * 1024 + 1)), "larger than 1 MiB"],
    ["when they are no JWK set", () => new Response("{}"), "no array of keys"],
    ["when they are not UTF-8", () => new Response(new Uint8Array([0xff])), "cannot be read"],
    ["when they are empty", () => new Response(null), "not JSON"],
  ])("%s", async (_when, page, sentence) => {
    expect((await refusal(new Web({ [KEYS]: page }), ISSUER, KEYS)).message).toContain(sentence);
  });

  test("when the issuer cannot be reached, with the cause kept", async () => {
    const refused = await refusal(new Web({}));
    expect(refused.message).toBe(`${DISCOVERY} cannot be read`);
    expect(refused.cause).toMatchObject({ message: "connection refused" });
  });

  test("when their body stalls", async () => {
    const stalled = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1)) });
    const web = new Web({ [KEYS]: () => new Response(stalled) });
    const thrown = await fetchJwks(web, ISSUER, KEYS, 50).catch((cause: unknown) => cause);
    expect(thrown).toMatchObject({ code: "identity_unavailable", message: `${KEYS} took too long` });
  });
});
