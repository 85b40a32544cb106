import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { attach, isCarrier, withoutCarriers, withoutQueryCarriers } from "#workers/vault/attach.ts";

const CARRIERS = [
  "Authorization",
  "Proxy-Authorization",
  "Cookie",
  "X-Api-Key",
  "Api-Key",
  "X-Goog-Api-Key",
  "X-Auth-Token",
  "X-Access-Token",
  "X-Forwarded-Access-Token",
  "X-Vault-Token",
  "Private-Token",
  "Job-Token",
  "DPoP",
];
const everything = () =>
  new Headers([...CARRIERS.map((name): [string, string] => [name, "agents-own"]), ["accept", "*/*"]]);

test("every carrier is taken off, without a credential too", () => {
  expect([...attach(everything(), undefined)]).toEqual([["accept", "*/*"]]);
  const pairs = CARRIERS.map((name) => [name, "agents-own"] as const);
  expect(withoutCarriers([...pairs, ["accept", "*/*"], ["set-cookie", "x"]])).toEqual([
    ["accept", "*/*"],
    ["set-cookie", "x"],
  ]);
});

test("the agent's headers stay as they were: a copy is changed", () => {
  const headers = everything();
  attach(headers, { scheme: "bearer", secret: "gateways" });
  expect(headers.get("authorization")).toBe("agents-own");
});

describe("the credential stands in place of the agent's token", () => {
  test.each([
    ["bearer", "gateways", "Bearer gateways"],
    ["bearer", "gateways\n", "Bearer gateways"],
    ["basic", "bot:pass:word", `Basic ${btoa("bot:pass:word")}`],
    ["basic", "gateways\r\n", `Basic ${btoa("steno:gateways")}`],
    ["basic", "bot:pässword", `Basic ${Buffer.from("bot:pässword").toString("base64")}`],
    ["basic", ":pass", `Basic ${btoa(":pass")}`],
  ] as const)("%s %j", (scheme, secret, field) => {
    expect([...attach(everything(), { scheme, secret })]).toEqual([
      ["accept", "*/*"],
      ["authorization", field],
    ]);
  });
});

test.each([
  ["bearer", ""],
  ["bearer", "\n"],
  ["bearer", "sekret\nx-admin: 1"],
  ["bearer", "sekret word"],
  ["bearer", "sekretä"],
  ["basic", "sekret\u0000"],
  ["basic", "bot:sekret\r\n\r\n"],
] as const)(
  "a %s credential that no header can hold stops the request without being repeated: %j",
  (scheme, secret) => {
    const act = () => attach(new Headers(), { scheme, secret });
    expect(act).toThrow(/credential/);
    expect(act).not.toThrow(/sekret/);
  },
);

describe("tokens in a query are taken off, and nothing else changes", () => {
  test.each([
    ["/v1/models?key=agents-own", "/v1/models"],
    ["/v1?alt=sse&KEY=agents-own&x=%2f+%20", "/v1?alt=sse&x=%2f+%20"],
    ["/v1?access_token=agents-own&access%5Ftoken=agents-own", "/v1"],
    ["/v1?a=1;api_key=agents-own&b=2", "/v1?b=2"],
    ["/v1?private_token&b", "/v1?b"],
    ["/x/info/refs?service=git-upload-pack", "/x/info/refs?service=git-upload-pack"],
    ["/x?", "/x?"],
    ["/x?&&a=b", "/x?&&a=b"],
    ["/x?monkey=1&keys=2&page_token=3", "/x?monkey=1&keys=2&page_token=3"],
    ["/key=1/access_token=2", "/key=1/access_token=2"],
    ["/x?%zz=1&key=2", "/x?%zz=1"],
  ])("%s", (path, kept) => {
    expect(withoutQueryCarriers(path)).toBe(kept);
  });

  test("whatever the query is, a second look finds nothing more to take off", () => {
    fc.assert(
      fc.property(fc.string(), (query) => {
        const once = withoutQueryCarriers(`/x?${query}`);
        expect(withoutQueryCarriers(once)).toBe(once);
      }),
    );
  });
});

test("a header's name counts in any case, and similar names do not", () => {
  expect(isCarrier("AUTHORIZATION")).toBe(true);
  expect(isCarrier("www-authenticate")).toBe(false);
  expect(isCarrier("x-api-key-id")).toBe(false);
});
