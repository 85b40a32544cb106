import { describe, expect, test } from "vitest";
import { messageOf } from "#workers/adapters/mcp/message.ts";
import { checkMirrors, McpRefusal } from "#workers/adapters/mcp/mirror.ts";
import type { Json } from "#workers/wire/json/strict.ts";

const MODERN = "2026-07-28";
const META = { "io.modelcontextprotocol/protocolVersion": MODERN };
const call = (name = "echo", args: Json = {}): Json => ({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name, arguments: args, _meta: META },
});
const FIELDS = { "mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "echo" };
const checked = (json: Json, fields: Record<string, string>): number | string => {
  try {
    checkMirrors(new Headers(fields), messageOf(json));
    return "passes";
  } catch (thrown) {
    if (thrown instanceof McpRefusal) return thrown.rpc.code;
    throw thrown;
  }
};
const without = (field: keyof typeof FIELDS) => {
  const { [field]: _, ...rest } = FIELDS;
  return rest;
};

describe("in the stateless era", () => {
  test("a message passes whose fields say what it says", () => {
    expect(checked(call(), FIELDS)).toBe("passes");
    expect(
      checked(call("größer"), {
        ...FIELDS,
        "mcp-name": `=?base64?${Buffer.from("größer").toString("base64")}?=`,
      }),
    ).toBe("passes");
  });

  test.each<[string, Json, Record<string, string>]>([
    ["another method", call(), { ...FIELDS, "mcp-method": "tools/list" }],
    ["another tool", call("drop"), FIELDS],
    ["the same tool in another case", call("Echo"), FIELDS],
    ["no method", call(), without("mcp-method")],
    ["no name", call(), without("mcp-name")],
    ["no revision", call(), without("mcp-protocol-version")],
    ["an older revision", call(), { ...FIELDS, "mcp-protocol-version": "2025-11-25" }],
    ["base64 that is none", call(), { ...FIELDS, "mcp-name": "=?base64?*?=" }],
    ["a parameter that was not given", call(), { ...FIELDS, "mcp-param-region": "eu" }],
    ["another parameter", call("echo", { region: "us" }), { ...FIELDS, "mcp-param-region": "eu" }],
  ])("%s in the fields is a mismatch", (_, json, fields) => {
    expect(checked(json, fields)).toBe(-32020);
  });

  test("a revision in the fields alone is a mismatch, and a reply has no place", () => {
    const bare: Json = { jsonrpc: "2.0", id: 1, method: "tools/list" };
    expect(checked(bare, { "mcp-protocol-version": MODERN, "mcp-method": "tools/list" })).toBe(-32602);
    expect(checked({ jsonrpc: "2.0", id: 1, result: {} }, { "mcp-protocol-version": MODERN })).toBe(-32020);
  });

  test("a parameter that was given passes, however deep, and in base64", () => {
    const given = call("echo", { to: [{ region: "eu" }], count: 3 });
    expect(checked(given, { ...FIELDS, "mcp-param-region": "eu", "mcp-param-count": "3" })).toBe("passes");
    expect(checked(given, { ...FIELDS, "mcp-param-region": `=?base64?${btoa("eu")}?=` })).toBe("passes");
  });
});

describe("in the era of sessions", () => {
  const list: Json = { jsonrpc: "2.0", id: 1, method: "tools/list" };
  test("fields need not be there, and say nothing else where they are", () => {
    expect(checked(list, {})).toBe("passes");
    expect(checked(list, { "mcp-protocol-version": "2025-11-25" })).toBe("passes");
    expect(checked(list, { "mcp-method": "tools/list" })).toBe("passes");
    expect(checked(list, { "mcp-method": "tools/call" })).toBe(-32020);
    expect(checked(list, { "mcp-name": "echo" })).toBe(-32020);
  });
});

test.each(["2027-01-01", "1999-01-01", "latest", ""])(
  "a revision that is not known, %j, is refused with those that are",
  (revision) => {
    try {
      checkMirrors(new Headers({ "mcp-protocol-version": revision }), messageOf(call()));
      throw new Error("it passed");
    } catch (thrown) {
      if (!(thrown instanceof McpRefusal)) throw thrown;
      expect(thrown.rpc).toMatchObject({
        code: -32022,
        data: { supported: expect.arrayContaining([MODERN]) },
      });
    }
  },
);

test.each<[string, Json]>([
  ["asks and answers at once", { jsonrpc: "2.0", id: 1, method: "ping", result: {} }],
  ["answers in two ways", { jsonrpc: "2.0", id: 1, result: {}, error: {} }],
  ["has an id beyond what numbers can tell apart", { jsonrpc: "2.0", id: 2 ** 53, method: "ping" }],
  ["has half an id", { jsonrpc: "2.0", id: 1.5, method: "ping" }],
  [
    "has a member that some take for another",
    { jsonrpc: "2.0", id: 1, method: "ping", Method: "tools/call" },
  ],
  [
    "has one in its params",
    { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "a", NAME: "b" } },
  ],
  [
    "has one by the long s",
    { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "a", argumentſ: {} } },
  ],
])("a message that %s is none", (_, json) => {
  expect(() => messageOf(json)).toThrow();
});
