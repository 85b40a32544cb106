import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import { expect, test } from "vitest";
import { guarded } from "#workers/policy/cedar.ts";
import { PoliciesInForce, type PolicyEvent } from "#workers/policy/load.ts";
import { ann, facts, file, onRepository } from "./asking.ts";

// In a file of its own: Cedar does not work again in this process afterwards.
test("after a trap no answer is taken from Cedar any more, and the cause is kept", async () => {
  const engine = guarded(cedar);
  const fine = "permit(principal, action, resource);";
  expect(engine.policyToJson(fine).type).toBe("success");
  const events: PolicyEvent[] = [];
  let files = [file("a.cedar", fine)];
  const around = {
    cedar: engine,
    read: async () => files,
    now: () => 0,
    pause: async () => {},
    report: (event: PolicyEvent) => void events.push(event),
  };
  const inForce = new PoliciesInForce(1000);
  await inForce.check(around);
  expect(inForce.decide?.(ann, [onRepository("git.refs")], facts).verdict).toBe("allow");

  const deep = `permit(principal, action, resource) when { ${"(".repeat(50_000)}true${")".repeat(50_000)} };`;
  expect(() => engine.policyToJson(deep)).toThrow("the policy engine has stopped");
  for (const call of [
    () => engine.policyToJson(fine),
    () => engine.preparsePolicySet("x", { staticPolicies: {} }),
    () => engine.schemaToJsonWithResolvedTypes("entity A;"),
    () => engine.validate({ schema: "entity A;", policies: { staticPolicies: {} } }),
  ]) {
    expect(call).toThrow(
      expect.objectContaining({
        message: "the policy engine has stopped; restart it",
        cause: expect.any(Error),
      }),
    );
  }

  // An answer that is remembered does not need Cedar; any other is not given.
  expect(() => inForce.decide?.(ann, [onRepository("git.fetch")], facts)).toThrow(
    "the policy engine has stopped",
  );
  files = [file("b.cedar", fine)];
  await inForce.check(around);
  expect(events.map(({ code }) => code)).toEqual(["policy_loaded", "policy_rejected"]);
});
