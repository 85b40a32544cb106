import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { ConnectionName, ExchangeId, SessionId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { ClearanceClaims } from "#durable/format/tape.ts";
import { bodyClaims, mintClearance, openClearance, requireCover } from "#workers/vault/clearance.ts";
import { Spent } from "#workers/vault/spent.ts";

const NOW = Date.UTC(2026, 10, 22);
const CLAIMS: ClearanceClaims = {
  session: "ses_01KAZ00000000000000000000A" as SessionId,
  x: "exc_01KAZ00000000000000000000A" as ExchangeId,
  connection: "payments" as ConnectionName,
  method: "POST",
  path: "/team/app.git/git-receive-pack?a=%C3%A4",
  verdict: "allow",
  body: bodyClaims({ kind: "whole", bytes: new TextEncoder().encode("0000") }),
  expires: NOW + 60_000,
  nonce: "exc_01KAZ00000000000000000000A",
};

let key: CryptoKey;
let other: CryptoKey;
const hmac = (secret: number) =>
  crypto.subtle.importKey("raw", new Uint8Array(32).fill(secret), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify",
  ]);
beforeAll(async () => {
  [key, other] = await Promise.all([hmac(1), hmac(2)]);
});

const refusal = async (clearance: string, now = NOW, by = key): Promise<Refusal> => {
  const thrown = await openClearance(by, clearance, now).catch((cause: unknown) => cause);
  if (!(thrown instanceof Refusal)) throw new Error("not refused", { cause: thrown });
  expect(thrown.code).toBe("denied");
  return thrown;
};

/** A clearance over any text at all, with a MAC that is right. */
async function signed(text: string, padding = ""): Promise<string> {
  const payload = Buffer.from(text).toString("base64url") + padding;
  const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(payload));
  return `${payload}.${Buffer.from(mac).toString("base64url")}`;
}

test("what was minted is opened, for every kind of body", async () => {
  const bodies = [
    bodyClaims({ kind: "none" }),
    bodyClaims({ kind: "whole", bytes: new Uint8Array() }),
    bodyClaims({ kind: "stream", prefix: new Uint8Array(70_000) }),
  ];
  for (const body of bodies) {
    const claims = { ...CLAIMS, body };
    expect(await openClearance(key, await mintClearance(key, claims), NOW)).toEqual(claims);
  }
});

test("the same claims give the same clearance, in whatever order they are written", async () => {
  const turned = Object.fromEntries(Object.entries(CLAIMS).reverse()) as ClearanceClaims;
  expect(await mintClearance(key, turned)).toBe(await mintClearance(key, CLAIMS));
});

test("only what policy allows can be minted, and no claims that could not be opened", async () => {
  for (const over of [
    { verdict: "deny" },
    { method: "post" },
    { path: "x" },
    { nonce: "short" },
    { expires: 1.5 },
  ]) {
    await expect(mintClearance(key, { ...CLAIMS, ...over } as ClearanceClaims)).rejects.toThrow("Invalid");
  }
});

describe("a clearance is refused", () => {
  test("when it was made by another key", async () => {
    await refusal(await mintClearance(other, CLAIMS));
  });

  test("when any letter of it was changed", async () => {
    const clearance = await mintClearance(key, CLAIMS);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(clearance.length - 1),
        fc.constantFrom(..."AZaz09-_.=+/ "),
        async (at, letter) => {
          fc.pre(clearance[at] !== letter);
          await refusal(clearance.slice(0, at) + letter + clearance.slice(at + 1));
        },
      ),
    );
  });

  test("when it has expired, and it says so", async () => {
    const clearance = await mintClearance(key, CLAIMS);
    expect((await openClearance(key, clearance, CLAIMS.expires - 1)).x).toBe(CLAIMS.x);
    expect((await refusal(clearance, CLAIMS.expires)).message).toBe("the clearance has expired");
  });

  test.each(["", ".", "a", "a.b", "a.b.c", `${"A".repeat(600_000)}.AAAA`])(
    "when it is none: %.20s",
    async (text) => {
      expect((await refusal(text)).message).toBe("the clearance is not valid");
    },
  );

  test("when it is padded or its base64 is another text for the same bytes", async () => {
    await refusal(await signed(JSON.stringify(CLAIMS), "="));
    const clearance = await mintClearance(key, CLAIMS);
    await refusal(`${clearance}=`);
    await refusal(`${clearance}.`);
  });

  test("when it is rightly signed, but not the one text for its claims", async () => {
    const { session, ...rest } = CLAIMS;
    const text = JSON.stringify(CLAIMS);
    expect(await openClearance(key, await signed(text), NOW)).toEqual(CLAIMS);
    const odd = [
      JSON.stringify({ ...rest, session }),
      JSON.stringify({ ...CLAIMS, admin: true }),
      JSON.stringify({ ...CLAIMS, body: { kind: "none", sha256: "" } }),
      JSON.stringify({ ...CLAIMS, verdict: "deny" }),
      JSON.stringify({ ...CLAIMS, expires: "9999999999999" }),
      ` ${text}`,
      text.replace('"method":"POST"', '"method":"GET","method":"POST"'),
      text.replace("payments", "pay\\u006dents"),
      "null",
      "{",
      "",
    ];
    for (const each of odd)
      expect((await refusal(await signed(each))).message).toBe("the clearance is not valid");
  });
});

describe("a clearance covers its own request and no other", () => {
  const asked = {
    connection: CLAIMS.connection,
    method: CLAIMS.method,
    path: CLAIMS.path,
    body: CLAIMS.body,
  };
  const bytes = new TextEncoder().encode("0001");

  test("its own, however the body is described", () => {
    expect(() => requireCover(CLAIMS, asked)).not.toThrow();
    const turned = Object.fromEntries(Object.entries(CLAIMS.body).reverse()) as ClearanceClaims["body"];
    expect(() => requireCover(CLAIMS, { ...asked, body: turned })).not.toThrow();
  });

  test.each([
    ["connection", { connection: "ledger" as ConnectionName }],
    ["method", { method: "GET" }],
    ["path", { path: "/team/other.git/git-receive-pack?a=%C3%A4" }],
    ["path", { path: "/team/app.git/git-receive-pack" }],
    ["path", { path: "/team/app.git/git-receive-pack?a=%c3%a4" }],
    ["body", { body: bodyClaims({ kind: "whole", bytes }) }],
    ["body", { body: bodyClaims({ kind: "none" }) }],
    ["body", { body: bodyClaims({ kind: "stream", prefix: new TextEncoder().encode("0000") }) }],
  ] as const)("not another %s", (part, over) => {
    expect(() => requireCover(CLAIMS, { ...asked, ...over })).toThrow(`the clearance is for another ${part}`);
  });
});

describe("a clearance is good once", () => {
  test("the second use is refused, and so is the first after it expired", () => {
    const spent = new Spent();
    expect(spent.spend(CLAIMS, NOW)).toBe(true);
    expect(spent.spend(CLAIMS, NOW)).toBe(false);
    expect(spent.spend({ ...CLAIMS, nonce: "another" }, CLAIMS.expires)).toBe(false);
  });

  test("what has expired is forgotten, what has not is kept, however many there are", () => {
    const spent = new Spent();
    for (let i = 0; i < 50_000; i++) {
      expect(spent.spend({ nonce: `n${i}`, expires: i + 100 }, i)).toBe(true);
      expect(spent.spend({ nonce: `n${Math.max(0, i - 50)}`, expires: i + 50 }, i)).toBe(false);
    }
    expect(spent.size).toBeLessThan(1200);
  });
});
