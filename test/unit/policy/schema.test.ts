import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import { describe, expect, test } from "vitest";
import { ACTIONS, type Action, type ResourceType, WITHIN } from "#durable/format/question/action.ts";
import { momentOf, PATHS_MAX, type Question } from "#durable/format/question/question.ts";
import { SCHEMA } from "#workers/policy/schema.ts";
import { ann, deciding, facts, onRef } from "./asking.ts";

const parsed = cedar.schemaToJson(SCHEMA);
if (parsed.type === "failure") throw new Error(JSON.stringify(parsed.errors));
const schema = parsed.json[""];

describe("the schema and the words of questions are one list", () => {
  test("every action is about the same type of resource in both", () => {
    const asked = Object.entries(schema?.actions ?? {}).flatMap(([name, { appliesTo }]) =>
      appliesTo?.resourceTypes.length ? [[name, appliesTo.resourceTypes]] : [],
    );
    const told = Object.entries(ACTIONS).map(([name, type]) => [name, [type]]);
    expect(asked.toSorted()).toEqual(told.toSorted());
  });

  test("every type lies within the same types in both", () => {
    const types = Object.entries(schema?.entityTypes ?? {}).filter(([name]) => Object.hasOwn(WITHIN, name));
    const within = types.map(([name, type]) => [
      name,
      "memberOfTypes" in type ? [...(type.memberOfTypes ?? [])].toSorted() : [],
    ]);
    expect(within.toSorted()).toEqual(
      Object.entries(WITHIN)
        .map(([name, types]) => [name, types.toSorted()])
        .toSorted(),
    );
  });
});

describe("what a push touches", () => {
  const touching = (paths: readonly string[], more: Question["context"] = {}): Question =>
    onRef("git.push", "refs/heads/x", { paths, inspected: true, ...more });
  const when = (condition: string) =>
    deciding(`@id("p") permit(principal, action, resource is Ref) when { ${condition} };`);
  const allows = async (condition: string, ...paths: string[]) =>
    (await when(condition))(ann, [touching(paths)]).verdict === "allow";

  test("is seen by path, by every folder above, by ending and by name", async () => {
    const path = ".github/workflows/build.yml";
    for (const touched of [path, ".github/", ".github/workflows/", "*.yml", "**/build.yml"])
      expect(await allows(`context.touches.contains("${touched}")`, "a", path), touched).toBe(true);
    for (const other of ["github/", ".github", "workflows/", "build.yml", "*.yaml", "**/workflows"])
      expect(await allows(`context.touches.contains("${other}")`, path), other).toBe(false);
  });

  test("can be kept within folders", async () => {
    const within = `["texts/", "README.md"].containsAll(context.tops)`;
    expect(await allows(within, "texts/a.md", "texts/deep/b.md", "README.md")).toBe(true);
    expect(await allows(within, "texts/a.md", "texts.ts")).toBe(false);
  });

  test("is nothing, and not inspected, where the adapter does not say", async () => {
    const decide = await when(
      "context.paths.isEmpty() && context.touches.isEmpty() && context.findings.isEmpty() && context.severity == 0 && !context.inspected",
    );
    expect(decide(ann, [onRef("git.push", "refs/heads/x")]).verdict).toBe("allow");
  });

  test("is refused when it is more than an adapter may say", async () => {
    const many = Array.from({ length: PATHS_MAX + 1 }, (_, n) => `${n}`);
    const decision = (await when("true"))(ann, [touching(many)]);
    expect(decision).toMatchObject({ verdict: "deny", policies: [] });
    expect(decision.reason).toContain("it touches 10001 paths");
  });

  test("cannot be said in the names that are derived, nor the facts in the adapter's", async () => {
    const decide = await when("true");
    for (const forged of [
      { touches: ["a"] },
      { tops: ["a"] },
      { taints: ["t"] },
      { client: "x" },
      { now: 1 },
    ])
      expect(decide(ann, [touching([], forged)])).toMatchObject({ verdict: "deny", policies: [] });
  });
});

describe("the moment and the session", () => {
  test("are part of the question: hour, weekday, day and taints decide", async () => {
    const decide = await deciding(
      `@id("p") permit(principal, action, resource);
       @id("night") forbid(principal, action, resource) when { context.now.hour < 7 || context.now.weekday > 5 };
       @id("freeze") forbid(principal, action, resource) when { context.now.day >= datetime("2026-12-20") };
       @id("taint") forbid(principal, action, resource) when { context.taints.contains("secret-read") };`,
    );
    const push = [onRef("git.push", "refs/heads/x")];
    expect(decide(ann, push).verdict).toBe("allow");
    const at = (now: Partial<typeof facts.now>) =>
      decide(ann, push, { ...facts, now: { ...facts.now, ...now } });
    expect(at({ hour: 6 }).policies).toEqual(["night"]);
    expect(at({ weekday: 6 }).policies).toEqual(["night"]);
    expect(at({ day: "2026-12-20" }).policies).toEqual(["freeze"]);
    expect(decide(ann, push, { ...facts, taints: ["secret-read"] }).policies).toEqual(["taint"]);
  });

  test("are told in UTC, with Sunday as the seventh day", () => {
    expect(momentOf(Date.UTC(2026, 10, 29, 23, 59))).toEqual({ day: "2026-11-29", hour: 23, weekday: 7 });
    expect(momentOf(Date.UTC(2026, 10, 30))).toEqual({ day: "2026-11-30", hour: 0, weekday: 1 });
  });
});

describe("every action can be asked", () => {
  const resourceOf = (type: ResourceType): Question["resource"] => {
    const attrs: Record<ResourceType, Record<string, string>> = {
      Connection: { kind: "git" },
      Repository: { path: "r" },
      Ref: { name: "r" },
      Path: { name: "p" },
      Server: { name: "s" },
      Tool: { name: "t" },
      Resource: { uri: "u" },
      Prompt: { name: "p" },
      Model: { name: "m", provider: "p" },
      Host: { name: "h" },
    };
    const [outer] = WITHIN[type];
    return { type, id: type, attrs: attrs[type], ...(outer && { within: resourceOf(outer) }) };
  };
  /** A value for each member the schema demands of an action's context. */
  const contextFor = (action: Action): Question["context"] => {
    const own = schema?.actions[action]?.appliesTo?.context as {
      attributes: Record<string, { type: string; name?: string; required?: boolean }>;
    };
    const given = [
      "now",
      "client",
      "taints",
      "findings",
      "severity",
      "inspected",
      "paths",
      "touches",
      "tops",
    ];
    const needed = Object.entries(own.attributes).filter(
      ([name, { required }]) => required !== false && !given.includes(name),
    );
    const value = { String: "", Long: 0, Bool: false, Set: [] } as const;
    return Object.fromEntries(
      needed.map(([name, { type, name: of = type }]) => [
        name,
        value[(type === "EntityOrCommon" ? of : type) as keyof typeof value],
      ]),
    );
  };

  test.each(Object.keys(ACTIONS) as Action[])("%s", async (action) => {
    const kinds = ["git", "mcp", "llm", "http", "hooks"].map((kind) => `Action::"${kind}"`);
    const decide = await deciding(`@id("p") permit(principal, action in [${kinds.join(", ")}], resource);`);
    const question = { part: "", action, resource: resourceOf(ACTIONS[action]), context: contextFor(action) };
    expect(decide(ann, [question])).toMatchObject({ verdict: "allow", reason: "permitted by policy p" });
  });
});
