/** What egress lets through: a request that its clearance covers, once. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { beforeEach, expect, test } from "vitest";
import type { ConnectionName, ExchangeId, SessionId } from "#durable/format/ids.ts";
import type { ClearanceClaims, RequestBody } from "#durable/format/tape.ts";
import { Egress } from "#workers/egress.ts";
import { bodyClaims, mintClearance } from "#workers/vault/clearance.ts";

const KEY = await crypto.subtle.importKey(
  "raw",
  new Uint8Array(32).fill(7),
  { name: "HMAC", hash: "SHA-256" },
  false,
  ["sign", "verify"],
);
const ANSWERED = { ok: null };
const PATH = "/team/app.git/git-upload-pack";
const WANT = new TextEncoder().encode("0032want");

/** What reached the upstream, as text. */
const reached: string[] = [];
beforeEach(() => void reached.splice(0));

const upstream = {
  fetch: async (url: string, init: RequestInit): Promise<Response> => {
    const request = new Request(url, init);
    reached.push(
      `${request.method} ${request.url} ${request.headers.get("authorization")} ${await request.text()}`,
    );
    return new Response("upstream's answer");
  },
};
const env = {
  EGRESS_SETTINGS: {
    connections: [
      {
        name: "code",
        kind: "git",
        transport: "http",
        base: "https://git.example.test/base",
        upstream: "UPSTREAM_0",
        credential: { binding: "CREDENTIAL_0", scheme: "bearer" },
      },
    ],
    issuers: [],
    stallSeconds: 5,
  },
  CLEARANCE_KEY: KEY,
  SPOOL: { append: async () => ANSWERED, finish: async () => ANSWERED },
  UPSTREAM_0: upstream,
  CREDENTIAL_0: "gateways",
};

let minted = 0;
function clearance(over: Partial<ClearanceClaims> = {}): Promise<string> {
  const nonce = `exc_01KAZ000000000000000000${String(minted++).padStart(3, "0")}`;
  return mintClearance(KEY, {
    session: "ses_01KAZ00000000000000000000A" as SessionId,
    x: nonce as ExchangeId,
    connection: "code" as ConnectionName,
    method: "POST",
    path: PATH,
    verdict: "allow",
    body: bodyClaims({ kind: "whole", bytes: WANT }),
    expires: Date.now() + 60_000,
    nonce,
    ...over,
  });
}

async function send(cleared: string, path = PATH, method = "POST", body: BodyInit | null = WANT) {
  const ctx = createExecutionContext();
  const headers = { "steno-clearance": cleared, authorization: "Bearer agents-own" };
  const egress = new Egress(ctx, env as unknown as Env);
  const response = await egress.fetch(new Request(`http://egress${path}`, { method, headers, body }));
  const said = { refusal: response.headers.get("steno-refusal"), text: await response.text() };
  await waitOnExecutionContext(ctx);
  return said;
}
type Env = ConstructorParameters<typeof Egress>[1];

const stream = (prefix: string): Extract<RequestBody, { readonly kind: "stream" }> => ({
  kind: "stream",
  prefix: new TextEncoder().encode(prefix),
});

test("a request that its clearance covers goes upstream as it is, with the gateway's credential", async () => {
  expect(await send(await clearance())).toEqual({ refusal: null, text: "upstream's answer" });
  expect(reached).toEqual([`POST https://git.example.test/base${PATH} Bearer gateways 0032want`]);
});

test("the second use of a clearance is refused", async () => {
  const once = await clearance();
  await send(once);
  expect(await send(once)).toMatchObject({ refusal: "denied" });
  expect(reached).toHaveLength(1);
});

test.each([
  ["path", {}, "/team/other.git/git-upload-pack", "POST", WANT],
  ["path", {}, `${PATH}?x=1`, "POST", WANT],
  ["method", {}, PATH, "PUT", WANT],
  ["body", {}, PATH, "POST", "0032wanT"],
  ["body", {}, PATH, "POST", null],
  ["body", { body: bodyClaims(stream("0033")) }, PATH, "POST", WANT],
] as const)(
  "a clearance for another %s is refused, and the upstream sees nothing",
  async (part, over, path, method, body) => {
    expect(await send(await clearance(over), path, method, body)).toEqual({
      refusal: "denied",
      text: `the clearance is for another ${part}`,
    });
    expect(reached).toEqual([]);
  },
);

test("a body that no clearance speaks of stays here", async () => {
  await send(await clearance({ body: bodyClaims({ kind: "none" }) }));
  expect(reached).toEqual([`POST https://git.example.test/base${PATH} Bearer gateways `]);
});

test.each([
  ["is missing", ""],
  ["is for a connection that is not there", { connection: "gone" as ConnectionName }],
  ["has expired", { expires: 1 }],
] as const)("a request whose clearance %s is refused", async (_, over) => {
  const { refusal } = await send(typeof over === "string" ? over : await clearance(over));
  expect(refusal).toMatch(/^(denied|unknown_connection)$/);
  expect(reached).toEqual([]);
});
