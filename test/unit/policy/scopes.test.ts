import { describe, expect, test } from "vitest";
import type { Question } from "#durable/format/question/question.ts";
import { Scopes, scopeErrors } from "#workers/policy/scopes.ts";
import { ann, engine, facts, max, onRef } from "./asking.ts";

const push = (ref: string): Question => onRef("git.push", ref);

const FEATURES = `permit(principal in Group::"developers", action in [Action::"git.push", Action::"git.create"], resource in Repository::"payments/app")
when { resource.name like "refs/heads/feature/*" };`;
const covers = (scope: string, questions: readonly Question[], who = ann): boolean =>
  new Scopes(engine).covering([scope], who, questions, facts).length === 1;

describe("a scope", () => {
  test("covers what it describes, and nothing beside it", () => {
    expect(covers(FEATURES, [push("refs/heads/feature/x")])).toBe(true);
    expect(covers(FEATURES, [push("refs/heads/main")])).toBe(false);
    expect(covers(FEATURES.replace("payments/app", "payments/other"), [push("refs/heads/feature/x")])).toBe(
      false,
    );
    expect(covers(FEATURES, [push("refs/heads/feature/x")], max)).toBe(false);
  });

  test("covers an operation only when it covers all of it", () => {
    expect(covers(FEATURES, [push("refs/heads/feature/x"), push("refs/heads/main")])).toBe(false);
    expect(covers(FEATURES, [push("refs/heads/feature/x"), push("refs/heads/feature/y")])).toBe(true);
  });

  test("can leave something out again", () => {
    const narrowed = `${FEATURES} forbid(principal, action, resource) when { context.touches.contains(".github/") };`;
    const touching = (path: string): Question => {
      const one = push("refs/heads/feature/x");
      return { ...one, context: { ...one.context, paths: [path] } };
    };
    expect(covers(narrowed, [touching("src/a.ts")])).toBe(true);
    expect(covers(narrowed, [touching(".github/workflows/ci.yml")])).toBe(false);
  });

  test("is asked among others by its place, and one that is wrong covers nothing", () => {
    const scopes = new Scopes(engine);
    const texts = ["not cedar", FEATURES, FEATURES.replace("feature", "fix")];
    expect(scopes.covering(texts, ann, [push("refs/heads/feature/x")], facts)).toEqual([1]);
    expect(scopes.covering(texts, ann, [push("refs/heads/fix/x")], facts)).toEqual([2]);
  });

  test("is still right when more of them were asked than are kept", () => {
    const scopes = new Scopes(engine);
    const of = (n: number) => FEATURES.replace("feature", `area-${n}`);
    for (let n = 0; n < 130; n++)
      expect(scopes.covering([of(n)], ann, [push(`refs/heads/area-${n}/x`)], facts)).toEqual([0]);
    expect(scopes.covering([of(0)], ann, [push("refs/heads/area-0/x")], facts)).toEqual([0]);
    expect(scopes.covering([of(0)], ann, [push("refs/heads/area-1/x")], facts)).toEqual([]);
  });
});

describe("what cannot be granted says why", () => {
  test.each([
    ["", "no policies"],
    ["permit(principal, action", "expected"],
    ['permit(principal, action == Action::"git.pull", resource in Connection::"code");', "git.pull"],
    ["permit(principal, action, resource);", "every action or every resource"],
    ['permit(principal, action == Action::"git.push", resource);', "every action or every resource"],
    ['permit(principal, action == Action::"git.push", resource is Ref);', "every action or every resource"],
    ['permit(principal, action, resource in Connection::"code");', "every action or every resource"],
    [`@hold("leads") forbid(principal, action, resource);\n${FEATURES}`, "only says what is covered"],
    [`@mask("*") ${FEATURES}`, "only says what is covered"],
    ["forbid(principal, action, resource);", "covers nothing"],
  ])("%s", (scope, why) => {
    expect(JSON.stringify(scopeErrors(engine, scope))).toContain(why);
  });

  test("and what can be says nothing", () => {
    expect(scopeErrors(engine, FEATURES)).toEqual([]);
  });
});
