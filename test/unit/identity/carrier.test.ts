import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { carriedConversation, carriedToken, TOKEN_MAX } from "#workers/identity/carrier.ts";

const from = (authorization?: string) =>
  carriedToken(new Headers(authorization === undefined ? {} : { authorization }));
const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

describe("a token is found", () => {
  test.each([
    ["as Bearer", "Bearer a.b.c"],
    ["as bearer in lower case", "bearer a.b.c"],
    ["as the password of Basic under any user name", basic("alice:a.b.c")],
    ["as the password of Basic with an empty user name", basic(":a.b.c")],
    ["as the user name with an empty password", basic("a.b.c:")],
    ["as the user name beside x-oauth-basic", basic("a.b.c:x-oauth-basic")],
    ["under a user name that is not ASCII", basic("älice:a.b.c")],
  ])("%s", (_how, field) => {
    expect(from(field)).toBe("a.b.c");
  });
});

describe("a request is refused as unauthenticated, and its sentence repeats nothing of what was sent", () => {
  test.each([
    ["without a token", undefined, "a token is needed"],
    ["with an empty header", "", "a token is needed"],
    ["with another scheme", "Digest sekret", "neither Bearer nor Basic"],
    ["with a bare token", "sekret", "neither Bearer nor Basic"],
    ["with Bearer and nothing", "Bearer", "neither Bearer nor Basic"],
    ["with two headers at once", "Bearer sekret, Basic sekret", "neither Bearer nor Basic"],
    ["with two tokens", "Bearer sekret,sekret", "cannot be read"],
    ["with garbage in Basic", "Basic %%%sekret%%%", "cannot be read"],
    [
      "with Basic that is not UTF-8",
      `Basic ${Buffer.from([0xff, 0xfe, 0x3a]).toString("base64")}`,
      "cannot be read",
    ],
    ["with Basic without a colon", basic("sekret"), "no colon"],
    ["with Basic that is only a colon", basic(":"), "cannot be read"],
    ["with a password that is no token", basic("alice:sekret word"), "cannot be read"],
    ["with a giant token", `Bearer ${"s".repeat(TOKEN_MAX + 1)}`, "too long"],
    ["with a giant header", `Bearer ${"s".repeat(1_000_000)}`, "too long"],
  ])("%s", (_how, field, sentence) => {
    const refusal = refusalOf(() => from(field));
    expect(refusal.code).toBe("unauthenticated");
    expect(refusal.message).toContain(sentence);
    expect(refusal.message).not.toContain("sekret");
  });
});

test("tokens in cookies, API key headers and queries are not tokens", () => {
  const headers = new Headers({
    cookie: "token=a.b.c",
    "x-api-key": "a.b.c",
    "proxy-authorization": "Bearer a.b.c",
  });
  expect(refusalOf(() => carriedToken(headers)).message).toContain("a token is needed");
});

test("any header gives a token or a refusal, never a fault", () => {
  const fields = fc.oneof(
    fc.string(),
    fc.string().map((text) => `Basic ${text}`),
    fc.string({ unit: "binary" }).map((text) => basic(text)),
  );
  fc.assert(
    fc.property(fields, (field) => {
      const headers = { get: () => field } as unknown as Headers;
      try {
        expect(carriedToken(headers)).toMatch(/^[A-Za-z0-9._~+/-]+=*$/);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(Refusal);
      }
    }),
  );
});

function refusalOf(act: () => unknown): Refusal {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown;
    throw thrown;
  }
  throw new Error("nothing was refused");
}

describe("a conversation is told as the user name of Basic", () => {
  const told = (authorization?: string) =>
    carriedConversation(new Headers(authorization === undefined ? {} : { authorization }));

  test("and the token stays the password", () => {
    expect([told(basic("conversation.c-1:a.b.c")), from(basic("conversation.c-1:a.b.c"))]).toEqual([
      "c-1",
      "a.b.c",
    ]);
  });

  test.each([
    ["nothing", undefined],
    ["Bearer", "Bearer conversation.c-1"],
    ["another user name", basic("steno:a.b.c")],
    ["a name that has it elsewhere", basic("my-conversation.c-1:a.b.c")],
    ["a token that looks like one", basic("x:conversation.c-1")],
    ["garbage", "Basic %%%"],
    ["two headers", `${basic("conversation.c-1:a")}, ${basic("conversation.c-2:a")}`],
  ])("by %s no conversation is told", (_, field) => expect(told(field)).toBeUndefined());
});
