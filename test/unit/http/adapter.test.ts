import { expect, test } from "vitest";
import type { ConnectionName } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { adapterContract, type Example, incomingOf, sound } from "#test/unit/adapter-contract.ts";
import { httpAdapter } from "#workers/adapters/http/adapter.ts";

const connection = {
  name: "tickets" as ConnectionName,
  kind: "http",
  bodies: "full",
  host: "tickets.internal",
} as const;

const example = (method: string, more: Partial<Example> = {}): Example => ({
  name: method,
  method,
  path: "/api/v1/issues",
  query: "?state=open",
  headers: { "content-type": "application/json" },
  body: undefined,
  ...more,
});
const bytes = (text: string) => new Uint8Array(new TextEncoder().encode(text));

adapterContract(httpAdapter, connection, [
  example("GET"),
  example("POST", { name: "a small body", body: bytes('{"title":"x"}') }),
  example("PUT", { name: "a long body", body: new Uint8Array(700_000).fill(65) }),
  example("DELETE", { name: "nothing at the root", path: "/", query: "" }),
]);

test("policy is asked about the host, with method, path, names of parameters and type", async () => {
  const { questions } = await sound(
    httpAdapter.inspect(incomingOf(example("POST", { body: bytes("{}") }), connection)),
  );
  expect(questions).toEqual([
    {
      part: "",
      action: "http.request",
      resource: {
        type: "Host",
        id: "tickets/tickets.internal",
        attrs: { name: "tickets.internal" },
        within: { type: "Connection", id: "tickets", attrs: { kind: "http" } },
      },
      context: { method: "POST", path: "/api/v1/issues", parameters: ["state"], type: "application/json" },
    },
  ]);
});

test("a query with more names than a frame should hold is abridged in the frame, and policy sees them all", async () => {
  const query = `?${Array.from({ length: 150 }, (_, i) => `p${i}=1`).join("&")}`;
  const { abridged, operation, questions } = await sound(
    httpAdapter.inspect(incomingOf(example("GET", { query }), connection)),
  );
  expect(abridged).toMatchObject({ omitted: 50 });
  expect(operation.query).toHaveLength(150);
  expect(questions[0]?.context["parameters"]).toHaveLength(150);
});

test("a refusal of somebody unknown carries the challenge", async () => {
  const incoming = incomingOf(example("GET"), connection);
  const said = httpAdapter.refuse(new Refusal("unauthenticated", "a token is needed"), incoming, {
    kind: "unknown",
  });
  expect(said.status).toBe(401);
  expect(said.headers.get("www-authenticate")).toBe('Bearer realm="steno"');
  expect(await said.json()).toMatchObject({
    type: "urn:steno:refusal:unauthenticated",
    detail: "a token is needed",
  });
});
