import { expect, test } from "vitest";
import type { Recorded } from "#workers/pipeline/exchange.ts";
import { bindingOf } from "#workers/pipeline/hold/binding.ts";

const principal = { issuer: "https://idp.example", subject: "alice", groups: ["developers"] };
const push = {
  kind: "git.push",
  repository: "app.git",
  updates: [{ ref: "refs/heads/main", old: "a".repeat(40), new: "b".repeat(40), change: "update" }],
  capabilities: ["report-status"],
  options: ["ci.skip"],
  atomic: false,
};
const whole = (text: string) => ({ kind: "whole", bytes: new TextEncoder().encode(text) });

type Parts = {
  readonly who?: object;
  readonly connection?: object;
  readonly operation?: object;
  readonly outgoing?: object;
  readonly body?: object;
};
const of = ({ who, connection, operation, outgoing, body }: Parts = {}): string =>
  bindingOf({
    principal: { ...principal, ...who },
    connection: { kind: "git", name: "code", ...connection },
    inspected: {
      operation: { ...push, ...operation },
      outgoing: { method: "POST", path: "/app.git/git-receive-pack", headers: [], ...outgoing },
      body: body ?? whole("pack"),
    },
  } as unknown as Recorded);
const ofHttp = (over: { outgoing?: object; body?: object } = {}): string =>
  of({
    connection: { kind: "http", name: "tickets" },
    operation: { kind: "http.request" },
    body: over.body ?? whole("{}"),
    outgoing: {
      method: "POST",
      path: "/t?x=1",
      headers: [["content-type", "application/json"]],
      ...over.outgoing,
    },
  });

test("a push is the same push with another pack, another git and other groups", () => {
  expect(of({ body: whole("another pack of the same objects") })).toBe(of());
  expect(of({ outgoing: { headers: [["user-agent", "git/2.55"]] } })).toBe(of());
  expect(of({ who: { groups: ["developers", "others"], name: "Alice" } })).toBe(of());
  expect(of({ operation: { capabilities: ["report-status", "ofs-delta"] } })).toBe(of());
});

const [update] = push.updates;
test.each<[string, Parts]>([
  ["person", { who: { subject: "bob" } }],
  ["agent", { who: { agent: "robot" } }],
  ["issuer", { who: { issuer: "https://other.example" } }],
  ["connection", { connection: { name: "other" } }],
  ["repository", { operation: { repository: "lib.git" } }],
  ["ref", { operation: { updates: [{ ...update, ref: "refs/heads/main2" }] } }],
  ["old id", { operation: { updates: [{ ...update, old: "c".repeat(40) }] } }],
  ["new id", { operation: { updates: [{ ...update, new: "c".repeat(40) }] } }],
  ["second ref", { operation: { updates: [update, { ...update, ref: "refs/heads/x" }] } }],
  ["option", { operation: { options: ["ci.skip", "deploy"] } }],
  ["atomicity", { operation: { atomic: true } }],
])("a push with another %s is another push", (_, parts) => {
  expect(of(parts)).not.toBe(of());
});

test("an HTTP request is bound by method, path with its query, fields and every byte of its body", () => {
  const same = ofHttp({
    outgoing: {
      headers: [
        ["x-stainless-retry-count", "1"],
        ["user-agent", "sdk/2"],
        ["content-type", "application/json"],
      ],
    },
  });
  expect(same).toBe(ofHttp());
  const others = [
    { outgoing: { method: "PUT" } },
    { outgoing: { path: "/t?x=2" } },
    { outgoing: { headers: [["content-type", "text/plain"]] } },
    { body: whole("{ }") },
    { body: { kind: "none" } },
  ];
  expect(new Set([ofHttp(), ...others.map(ofHttp)]).size).toBe(others.length + 1);
});

test("a body that is not known whole cannot be approved", () => {
  expect(() => ofHttp({ body: { kind: "stream" } })).toThrow("not known whole");
});
