import { describe, expect, test } from "vitest";
import { attach } from "#workers/vault/attach.ts";

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
