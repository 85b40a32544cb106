/** Where one policy stops at one question: in its scope, at a condition, or nowhere. */
import type * as wasm from "@cedar-policy/cedar-wasm/nodejs";
import { aroundOf, callOf } from "#workers/policy/question/ask.ts";
import type { Policy, PolicySet } from "#workers/policy/set/policy-set.ts";
import { scopeMiss } from "#workers/policy/set/scope.ts";
import type { Asked } from "./situation.ts";

export type Stop =
  | { readonly outcome: "applies"; readonly because?: undefined }
  | { readonly outcome: "out of scope" | "does not apply" | "fails"; readonly because: string };

type Clause = wasm.PolicyJson["conditions"][number];
type Engine = Pick<
  typeof wasm,
  "policyToJson" | "policyToText" | "preparsePolicySet" | "statefulIsAuthorized"
>;

const ALONE = "one condition";

export function stopOf(cedar: Engine, set: PolicySet, policy: Policy, asked: Asked): Stop {
  const miss = scopeMiss(policy.scope, aroundOf(set, asked));
  if (miss !== undefined) return { outcome: "out of scope", because: `its ${miss} is another` };
  const parsed = cedar.policyToJson(policy.text);
  if (parsed.type === "failure") throw new Error(parsed.errors[0]?.message ?? policy.id);
  // Numbers that JavaScript cannot hold would be others in the parts; the whole is asked as it is written.
  if (!holdsExactly(parsed.json)) return wholeStop(cedar, set, policy, asked);
  for (const clause of parsed.json.conditions.flatMap(split)) {
    const held = holds(cedar, set, clause, asked);
    if (typeof held === "string") return { outcome: "fails", because: `${textOf(cedar, clause)}: ${held}` };
    if (held !== (clause.kind === "when")) {
      return { outcome: "does not apply", because: `${textOf(cedar, clause)} is ${held}` };
    }
  }
  return { outcome: "applies" };
}

/** `when { a && b }` holds when both do, and they are asked in turn: each by itself says which of them does not. */
function split({ kind, body }: Clause): Clause[] {
  const and = "&&" in body ? (body["&&"] as { left: Clause["body"]; right: Clause["body"] }) : undefined;
  if (kind === "unless" || !and) return [{ kind, body }];
  return [and.left, and.right].flatMap((each) => split({ kind, body: each }));
}

const always = { op: "All" } as const;
const alone = (conditions: Clause[]): wasm.PolicyJson => ({
  effect: "permit",
  principal: always,
  action: always,
  resource: always,
  conditions,
});

/** Whether the condition's expression is true, or the message it fails with. */
function holds(cedar: Engine, set: PolicySet, { body }: Clause, asked: Asked): boolean | string {
  return applies(cedar, set, alone([{ kind: "when", body }]), asked);
}

function wholeStop(cedar: Engine, set: PolicySet, { text }: Policy, asked: Asked): Stop {
  const held = applies(cedar, set, text, asked);
  if (typeof held === "string") return { outcome: "fails", because: held };
  return held ? { outcome: "applies" } : { outcome: "does not apply", because: "one of its conditions" };
}

function applies(cedar: Engine, set: PolicySet, policy: wasm.Policy, asked: Asked): boolean | string {
  const kept = cedar.preparsePolicySet(ALONE, { staticPolicies: { policy } });
  if (kept.type === "failure") return kept.errors[0]?.message ?? "it does not parse";
  const answer = cedar.statefulIsAuthorized({ ...callOf(set, asked), preparsedPolicySetId: ALONE });
  if (answer.type === "failure") return answer.errors[0]?.message ?? "it cannot be asked";
  const { errors, reason } = answer.response.diagnostics;
  return errors[0]?.error.message ?? reason.length > 0;
}

function holdsExactly(json: unknown): boolean {
  if (typeof json === "number") return Number.isSafeInteger(json);
  return typeof json !== "object" || json === null || Object.values(json).every(holdsExactly);
}

/** As Cedar writes it: `when { … }`. */
function textOf(cedar: Engine, clause: Clause): string {
  const answer = cedar.policyToText(alone([clause]));
  if (answer.type === "failure") return clause.kind;
  return answer.text.slice(answer.text.indexOf(clause.kind)).replace(/;\s*$/, "").replaceAll(/\s+/g, " ");
}
