import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Principal } from "#durable/format/principal.ts";
import type { Question } from "#durable/format/question/question.ts";
import type { Cedar } from "#workers/policy/cedar.ts";
import { ask } from "#workers/policy/question/ask.ts";
import { contextOf } from "#workers/policy/question/context.ts";
import { resourceEntities, resourceUid, userEntity } from "#workers/policy/question/entities.ts";
import { SCHEMA } from "#workers/policy/schema.ts";
import {
  ann,
  decidingBy,
  engine,
  facts,
  file,
  lea,
  max,
  onRef,
  onRepository,
  opened,
  person,
} from "./asking.ts";

const SCOPES = {
  principal: [
    "principal",
    "principal is User",
    'principal in Group::"developers"',
    'principal == User::"https://login.example|ann"',
    'principal in User::"https://login.example|ann"',
    'principal is User in Group::"leads"',
  ],
  action: [
    "action",
    'action == Action::"git.push"',
    'action in Action::"git.write"',
    'action in Action::"git"',
    'action in [Action::"git.read", Action::"git.force"]',
    'action in Action::"mcp"',
  ],
  resource: [
    "resource",
    "resource is Ref",
    'resource is Ref in Repository::"payments/app"',
    'resource in Connection::"payments"',
    'resource in Connection::"app"',
    'resource == Repository::"payments/app"',
    'resource == Ref::"payments/app/refs/heads/main"',
    'resource is Repository in Connection::"payments"',
  ],
  // Not `context.refs`, which not every action has.
  condition: [
    "",
    "when { context.now.hour > 8 }",
    'unless { context.taints.contains("t") }',
    "when { context has size && context.size > 5 }",
    'when { context.touches.contains("src/") || context.severity > 2 }',
    "unless { context.inspected }",
    "when { principal has agent }",
  ],
};
const policy = fc.tuple(
  fc.constantFrom("permit", "permit", "forbid"),
  fc.constantFrom(...SCOPES.principal),
  fc.constantFrom(...SCOPES.action),
  fc.constantFrom(...SCOPES.resource),
  fc.constantFrom(...SCOPES.condition),
);
const who: Principal[] = [ann, lea, max, person("ann", [], "cursor")];
const context = fc.constantFrom<Question["context"]>(
  {},
  { size: 9, inspected: true },
  { paths: ["src/a.ts"] },
  { severity: 4, findings: ["secrets"] },
);
const question = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("git.push" as const, "git.force" as const),
      fc.constantFrom("refs/heads/main", "x"),
      context,
    )
    .map(([action, name, more]) => onRef(action, name, more)),
  fc.constantFrom(onRepository("git.refs"), onRepository("git.fetch")),
);

cedar.preparseSchema("whole", SCHEMA);

/** Everything at once, as Cedar would have it: all policies, the whole context, checked against the schema. */
function whole(principal: Principal, asked: Question) {
  const user = userEntity(principal);
  const members = [...Object.keys(asked.context), "now", "client", "taints", "touches", "tops"];
  const answer = cedar.statefulIsAuthorized({
    principal: user.uid,
    action: { type: "Action", id: asked.action },
    resource: resourceUid(asked.resource),
    context: contextOf(asked, facts, [...members, "findings", "severity", "inspected", "paths"]),
    entities: [user, ...resourceEntities(asked.resource)],
    preparsedSchemaName: "whole",
    validateRequest: true,
    preparsedPolicySetId: "whole",
  });
  if (answer.type === "failure") throw new Error(JSON.stringify(answer.errors));
  const { decision, diagnostics } = answer.response;
  return { decision, applied: diagnostics.reason.toSorted() };
}

test("a question asked of few policies with little of its context gets the answer that all of both give", async () => {
  const asking = fc.array(fc.tuple(fc.constantFrom(...who), question), { minLength: 12, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(policy, { minLength: 1, maxLength: 12 }), asking, async (drawn, all) => {
      const texts = drawn.map(
        ([effect, p, a, r, condition], n) => `@id("p${n}") ${effect}(${p}, ${a}, ${r}) ${condition};`,
      );
      // A scope that can never hold is a warning, not an error.
      const set = await opened(file("a.cedar", texts.join("\n")));
      cedar.preparsePolicySet("whole", {
        staticPolicies: Object.fromEntries(texts.map((text, n) => [`p${n}`, text])),
      });
      for (const [principal, asked] of all) {
        const told = ask(engine, set, { principal, question: asked, facts, lifted: false });
        if ("cannot" in told) throw new Error(told.cannot);
        const { decision, applied } = told;
        expect({ decision, applied: applied.map(({ id }) => id).toSorted() }).toEqual(
          whole(principal, asked),
        );
      }
      set.slices.close();
    }),
    { numRuns: 25 },
  );
});

describe("what Cedar is shown", () => {
  async function showing(text: string) {
    const shown: { policies: number; context: string[] }[] = [];
    const held = new Map<string, number>();
    const watched: Cedar = {
      ...engine,
      preparsePolicySet: (name, policies) => {
        held.set(name, Object.keys(policies.staticPolicies ?? {}).length);
        return engine.preparsePolicySet(name, policies);
      },
      statefulIsAuthorized: (call) => {
        shown.push({
          policies: held.get(call.preparsedPolicySetId) ?? 0,
          context: Object.keys(call.context),
        });
        return engine.statefulIsAuthorized(call);
      },
    };
    const { openPolicySet } = await import("#workers/policy/set/policy-set.ts");
    const answer = openPolicySet(watched, [file("a.cedar", text)], "d".repeat(64));
    if ("errors" in answer) throw new Error(JSON.stringify(answer.errors));
    return { shown, held, decide: decidingBy(answer.set, watched), set: answer.set };
  }
  const filled = (held: ReadonlyMap<string, number>) =>
    [...held.values()].filter((count) => count > 0).length;

  test("is the policies in whose scope the question is, and the members of the context they mention", async () => {
    const { shown, decide } = await showing(
      `@id("a") permit(principal, action in Action::"git.write", resource) when { context.now.hour > 7 && context.taints.isEmpty() };
       @id("b") forbid(principal, action in Action::"git.read", resource) when { context.client == "x" };
       @id("c") forbid(principal, action, resource in Connection::"other");
       @id("d") permit(principal in Group::"sales", action, resource);`,
    );
    expect(decide(ann, [onRef("git.push", "x")]).policies).toEqual(["a"]);
    expect(decide(max, [onRepository("git.fetch")]).policies).toEqual(["d"]);
    expect(shown).toEqual([
      { policies: 1, context: ["now", "taints"] },
      { policies: 2, context: ["client"] },
    ]);
    expect(decide(ann, [onRef("git.push", "x"), onRepository("git.refs")]).verdict).toBe("deny");
  });

  test("is nothing when no policy can apply, and the whole context when a policy compares it as one", async () => {
    const { shown, decide } = await showing(
      `@id("a") permit(principal, action == Action::"git.refs", resource) when { context == context };`,
    );
    expect(decide(ann, [onRef("git.push", "x")]).verdict).toBe("deny");
    expect(shown).toEqual([]);
    expect(decide(ann, [onRepository("git.refs")]).verdict).toBe("allow");
    expect(shown[0]?.context).toEqual(expect.arrayContaining(["now", "client", "service", "touches"]));
  });

  test("is forgotten again: a bounded number of slices at a time, and none once the set is closed", async () => {
    const policies = Array.from(
      { length: 300 },
      (_, n) => `@id("r${n}") permit(principal, action, resource == Ref::"payments/app/r${n}");`,
    );
    const { held, decide, set } = await showing(policies.join("\n"));
    for (let n = 0; n < 300; n++)
      expect(decide(ann, [onRef("git.push", `r${n}`)]).policies).toEqual([`r${n}`]);
    expect(held.size).toBe(300);
    expect(filled(held)).toBe(256);
    expect(decide(ann, [onRef("git.push", "r0")], { ...facts, taints: ["t"] }).policies).toEqual(["r0"]);
    set.slices.close();
    expect(filled(held)).toBe(0);
  });
});
