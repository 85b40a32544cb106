import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  isCarrier,
  withoutCarriers,
  withoutCredentials,
  withoutQueryCarriers,
} from "#workers/wire/carriers.ts";

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

test("every carrier is taken off a list of fields, and nothing else", () => {
  const pairs = CARRIERS.map((name) => [name, "agents-own"] as const);
  expect(withoutCarriers([...pairs, ["accept", "*/*"], ["set-cookie", "x"]])).toEqual([
    ["accept", "*/*"],
    ["set-cookie", "x"],
  ]);
});

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

test.each([
  ["", ""],
  ["?", "?"],
  ["?service=git-upload-pack", "?service=git-upload-pack"],
  ["?alt=sse&key=AIza%20x&b=c", "?alt=sse&key=***&b=c"],
  ["?ACCESS_TOKEN=x", "?ACCESS_TOKEN=***"],
  ["?%6bey=x&k%65y=y", "?%6bey=***&k%65y=***"],
  ["?private_token=a=b=c", "?private_token=***"],
  ["?key", "?key"],
  ["?a=1;key=x&b=2", "?a=***&b=2"],
  ["?auth_token=x&x-goog-api-key=y", "?auth_token=***&x-goog-api-key=***"],
  ["?monkey=1&%zz=2", "?monkey=1&%zz=2"],
])("the query %j is written down as %j", (query, written) => {
  expect(withoutCredentials(query)).toBe(written);
});

test("a query that carries no credential keeps its bytes", () => {
  fc.assert(
    fc.property(fc.webQueryParameters(), (query) => {
      const named = /(?:^|[&;])[^=&;]*(?:key|token|code|secret|password|sig)[^=&;]*=/i.test(query);
      return named || query.includes("%") || withoutCredentials(`?${query}`) === `?${query}`;
    }),
  );
});
