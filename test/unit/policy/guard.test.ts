import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import { expect, test } from "vitest";
import { guarded } from "#workers/policy/cedar.ts";

// In a file of its own: Cedar does not work again in this process afterwards.
test("after a trap no answer is taken from Cedar any more, and the cause is kept", () => {
  const engine = guarded(cedar);
  const fine = "permit(principal, action, resource);";
  expect(engine.policyToJson(fine).type).toBe("success");
  const deep = `permit(principal, action, resource) when { ${"(".repeat(50_000)}true${")".repeat(50_000)} };`;
  expect(() => engine.policyToJson(deep)).toThrow("the policy engine has stopped");
  for (const call of [
    () => engine.policyToJson(fine),
    () => engine.preparsePolicySet("x", { staticPolicies: {} }),
    () => engine.preparseSchema("x", "entity A;"),
    () => engine.validate({ schema: "entity A;", policies: { staticPolicies: {} } }),
  ]) {
    expect(call).toThrow(
      expect.objectContaining({
        message: "the policy engine has stopped; restart it",
        cause: expect.any(Error),
      }),
    );
  }
});
