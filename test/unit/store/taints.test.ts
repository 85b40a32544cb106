import { expect, test } from "vitest";
import type { Frame } from "#durable/format/frame.ts";
import { staleness, TAINTS_FULL, taint, taintsOf } from "#durable/store/taint/taints.ts";

const decision = (verdict: "allow" | "deny", taints?: readonly string[]): Frame =>
  ({
    k: "decision",
    x: "exc_1",
    verdict,
    policies: [],
    set: "",
    reason: "",
    denied: [],
    ...(taints && { taint: taints }),
  }) as unknown as Frame;

test("what is let through taints, what is denied does not", () => {
  const held: { taints?: readonly string[] } = {};
  taint(held, decision("deny", ["secret-read"]), () => "code");
  expect(taintsOf(held)).toEqual([]);
  taint(held, decision("allow", ["secret-read", "z"]), () => "code");
  taint(held, decision("allow", ["secret-read"]), () => "code");
  expect(taintsOf(held)).toEqual(["secret-read", "used:code", "z"]);
});

test("what was hidden was there", () => {
  const held: { taints?: readonly string[] } = {};
  taint(
    held,
    { k: "mask", x: "exc_1", dir: "s2c", detector: "secrets" } as unknown as Frame,
    () => undefined,
  );
  expect(taintsOf(held)).toEqual(["found:secrets"]);
});

test("a decision that knew other taints than there are is stale, and is told those", () => {
  const held = { taints: ["a", "b"] };
  expect(staleness(held, ["a", "b"])).toBeUndefined();
  for (const known of [[], ["a"], ["a", "b", "c"]])
    expect(staleness(held, known)?.no).toMatchObject({ code: "stale", taints: ["a", "b"] });
});

test("a session has a bounded number of names, and says that there were more", () => {
  const held: { taints?: readonly string[] } = {};
  for (let i = 0; i < 300; i++) taint(held, decision("allow", [`t${i}`]), () => undefined);
  expect(taintsOf(held)).toHaveLength(201);
  expect(taintsOf(held)).toContain(TAINTS_FULL);
});
