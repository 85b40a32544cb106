import { describe, expect, test } from "vitest";
import { consoleApi } from "#workers/api/console-api.ts";
import { ABSENT, ALICE, MINE, NOW, Recorder } from "./recorder.ts";

type Json = Record<string, unknown>;
type Operation = {
  operationId: string;
  security: readonly Json[];
  parameters?: readonly { name: string; in: string; required: boolean }[];
  responses: Record<string, { description: string; content: Record<string, { schema: Json }> }>;
};
type Document = {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Json>; securitySchemes: Json };
};

const recorder = new Recorder();
const app = consoleApi({
  read: recorder,
  kill: recorder.kill,
  custody: recorder.custody,
  decide: recorder.decide,
  now: () => NOW,
  loginSeconds: 300,
  standingSeconds: 7200,
  standing: recorder.standing,
  scope: recorder.scope,
  roles: { auditor: ["eng"], approver: [], admin: ["eng"], privacy: ["eng"] },
  authenticate: async () => ({ principal: ALICE, expires: 0 }),
  log: () => {},
});
const document = (await (await app.request("/api/v1/openapi.json")).json()) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

test("it lists exactly the routes that are served", () => {
  const served = app.routes.filter(({ method }) => method !== "ALL");
  const described = operations.map(({ path, method }) => `${method.toUpperCase()} ${path}`);
  expect(described.sort()).toEqual(
    served.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`).sort(),
  );
});

test("it is OpenAPI 3.1: what must be there is there, and every reference leads somewhere", () => {
  expect(document.openapi).toMatch(/^3\.1\.\d+$/);
  expect(document.info).toMatchObject({ title: "Steno console", version: "1" });
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, operation } of operations) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    expect((operation.parameters ?? []).map(({ name }) => name)).toEqual(named);
    for (const parameter of operation.parameters ?? [])
      expect(parameter).toMatchObject({ in: "path", required: true });
    for (const { description } of Object.values(operation.responses)) expect(description).toMatch(/\w/);
  }
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
  expect(refs.length).toBeGreaterThan(10);
  for (const [, name = ""] of refs) expect(document.components.schemas).toHaveProperty(name);
});

test("what needs a role says so, and nothing else does", async () => {
  for (const { path, method, operation } of operations) {
    const url = path.replace("{session}", MINE);
    const { status } = await app.request(url, { method: method.toUpperCase() });
    expect(status === 401).toBe(operation.security.length === 1);
  }
});

describe("what it says of responses is so", () => {
  test.each([
    ["GET", "/api/v1/sessions"],
    ["GET", `/api/v1/sessions/${MINE}`],
    ["GET", `/api/v1/sessions/${ABSENT}`],
    ["GET", "/api/v1/sessions/nonsense"],
    ["POST", `/api/v1/sessions/${MINE}/kill`],
    ["GET", "/healthz"],
    ["GET", "/readyz"],
    ["GET", "/api/v1/openapi.json"],
  ])("%s %s", async (method, url) => {
    const response = await app.request(url, { method, headers: { authorization: "Bearer t" } });
    const path = url.replace(/sessions\/\w+/, "sessions/{session}");
    const described = document.paths[path]?.[method.toLowerCase()]?.responses[response.status];
    const type = response.headers.get("content-type")?.split(";", 1)[0] ?? "";
    const schema = described?.content[type]?.schema;
    expect(schema).toEqual(expect.anything());
    if (type !== "text/plain") expect(mismatches(await response.json(), schema ?? {})).toEqual([]);
  });
});

/** The part of JSON Schema that the document uses. */
function mismatches(value: unknown, schema: Json, at = "$"): string[] {
  const name = /\/(\w+)$/.exec(String(schema["$ref"] ?? ""))?.[1];
  if (name !== undefined) return mismatches(value, document.components.schemas[name] ?? {}, at);
  if (Array.isArray(schema["enum"])) return schema["enum"].includes(value) ? [] : [`${at}: not in enum`];
  switch (schema["type"]) {
    case "string": {
      const pattern = schema["pattern"];
      return typeof value === "string" && new RegExp(String(pattern ?? "")).test(value)
        ? []
        : [`${at}: no such text`];
    }
    case "integer":
      return Number.isInteger(value) ? [] : [`${at}: not an integer`];
    case "array":
      if (!Array.isArray(value)) return [`${at}: not an array`];
      return value.flatMap((item, i) => mismatches(item, schema["items"] as Json, `${at}[${i}]`));
    case "object": {
      if (typeof value !== "object" || value === null) return [`${at}: not an object`];
      const properties = (schema["properties"] ?? {}) as Record<string, Json>;
      const missing = ((schema["required"] ?? []) as string[]).filter((key) => !Object.hasOwn(value, key));
      const known = Object.entries(value).filter(([key]) => Object.hasOwn(properties, key));
      const unknown =
        "properties" in schema ? Object.keys(value).filter((key) => !Object.hasOwn(properties, key)) : [];
      return [
        ...[...missing, ...unknown].map((key) => `${at}.${key}: missing or undescribed`),
        ...known.flatMap(([key, member]) => mismatches(member, properties[key] ?? {}, `${at}.${key}`)),
      ];
    }
    default:
      return [`${at}: the test does not know ${JSON.stringify(schema)}`];
  }
}
