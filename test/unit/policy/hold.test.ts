import { describe, expect, test } from "vitest";
import { ann, brief, deciding, errorsOf, facts, file, onRef, onRepository } from "./asking.ts";

const WRITES = `@id("w") permit(principal, action in Action::"git.write", resource);`;
const held = (id: string, groups: string, ref = "*") =>
  `@id("${id}") @hold("${groups}") @reason("${id} is looked at") forbid(principal, action in Action::"git.write", resource is Ref) when { resource.name like "${ref}" };`;
const main = onRef("git.push", "refs/heads/main");
const topic = onRef("git.push", "refs/heads/topic");

describe("a forbid with @hold", () => {
  test("holds what would be permitted without it, for its groups", async () => {
    const decide = await deciding(`${WRITES} ${held("release", "2 leads, security")}`);
    expect(decide(ann, [main])).toEqual({
      verdict: "hold",
      hold: [
        { group: "leads", count: 2 },
        { group: "security", count: 1 },
      ],
      policies: ["release"],
      set: expect.any(String),
      reason: "release is looked at",
      denied: [{ part: "refs/heads/main", reason: "release is looked at" }],
    });
  });

  test("holds nothing that no policy permits: approval cannot make a permit", async () => {
    const decide = await deciding(
      `@id("w") permit(principal, action, resource) when { resource is Repository }; ${held("h", "leads")}`,
    );
    expect(decide(ann, [main])).toMatchObject({
      verdict: "deny",
      policies: [],
      reason: "no policy permits git.push on refs/heads/main",
    });
  });

  test("gives way to a forbid without one", async () => {
    const decide = await deciding(
      `${WRITES} ${held("h", "leads")} @id("no") @reason("closed") forbid(principal, action == Action::"git.push", resource);`,
    );
    expect(decide(ann, [main])).toMatchObject({ verdict: "deny", policies: ["h", "no"] });
    expect(decide(ann, [main])).not.toHaveProperty("hold");
  });

  test("gives way to a policy that fails, whether that would permit or forbid", async () => {
    const decide = await deciding(
      `${WRITES} ${held("h", "leads")} @id("sum") permit(principal, action, resource) when { 9223372036854775807 + 1 == 0 };`,
    );
    expect(decide(ann, [main])).toMatchObject({ verdict: "deny", policies: ["h", "sum"] });
  });

  test("fails itself, and that is a deny", async () => {
    const decide = await deciding(
      `${WRITES} @id("h") @hold("leads") forbid(principal, action, resource) when { 9223372036854775807 + 1 == 0 };`,
    );
    expect(brief(decide(ann, [main]))).toMatchObject({ verdict: "deny", policies: ["h"] });
  });

  test("is for the leads by day, and for whoever is on call in quiet hours", async () => {
    const quiet = "context.now.hour < 7 || context.now.hour > 18 || context.now.weekday > 5";
    const by = (group: string, clause: string) =>
      `@id("${group}") @hold("${group}") forbid(principal, action == Action::"git.push", resource) ${clause} { ${quiet} };`;
    const decide = await deciding(`${WRITES} ${by("leads", "unless")} ${by("oncall", "when")}`);
    const groups = (hour: number, weekday: number) => {
      const decided = decide(ann, [main], { ...facts, now: { ...facts.now, hour, weekday } });
      return decided.verdict === "hold" && decided.hold.map(({ group }) => group);
    };
    for (const hour of [7, 12, 18]) expect(groups(hour, 5)).toEqual(["leads"]);
    for (const hour of [0, 6, 19, 23]) expect(groups(hour, 1)).toEqual(["oncall"]);
    for (const hour of [3, 12]) expect(groups(hour, 6)).toEqual(["oncall"]);
  });

  test("of one part holds the whole, and a part that is denied denies it", async () => {
    const decide = await deciding(
      `${WRITES} ${held("m", "leads", "*/main")} ${held("t", "3 leads", "*/topic")} @id("no") forbid(principal, action == Action::"git.force", resource);`,
    );
    const free = onRef("git.push", "refs/heads/x");
    expect(brief(decide(ann, [free, main]))).toEqual({
      verdict: "hold",
      policies: ["m"],
      denied: ["refs/heads/main"],
    });
    expect(decide(ann, [main, topic])).toMatchObject({ hold: [{ group: "leads", count: 3 }] });
    expect(brief(decide(ann, [main, onRef("git.force", "refs/heads/x")]))).toEqual({
      verdict: "deny",
      policies: ["no"],
      denied: ["refs/heads/main", "refs/heads/x"],
    });
  });
});

describe("@mask", () => {
  test("of every policy that applies counts, on a permit and on a forbid that holds", async () => {
    const decide = await deciding(
      `@id("a") @mask("secrets, email") permit(principal, action, resource);
       @id("b") @mask("cards,email") permit(principal, action in Action::"git.read", resource);
       @id("c") @hold("leads") @mask("names") forbid(principal, action == Action::"git.push", resource);`,
    );
    expect(decide(ann, [onRepository("git.fetch")])).toMatchObject({ mask: ["cards", "email", "secrets"] });
    expect(decide(ann, [main])).toMatchObject({ verdict: "hold", mask: ["email", "names", "secrets"] });
  });

  test("is absent where no policy says it, and where nothing is let through", async () => {
    const decide = await deciding(
      `@id("a") @mask("*") permit(principal, action in Action::"git.read", resource); @id("b") permit(principal, action, resource is Ref);`,
    );
    expect(decide(ann, [onRepository("git.fetch")])).toMatchObject({ verdict: "allow", mask: ["*"] });
    expect(decide(ann, [main])).not.toHaveProperty("mask");
    const closed = await deciding(
      `@id("a") @mask("*") permit(principal, action, resource); @id("f") forbid(principal, action, resource);`,
    );
    expect(closed(ann, [main])).not.toHaveProperty("mask");
  });
});

test("the severity of a decision is the highest of the policies that determined it", async () => {
  const decide = await deciding(
    `@id("p") @severity("critical") permit(principal, action, resource);
     @id("a") @severity("low") forbid(principal, action == Action::"git.push", resource);
     @id("b") @severity("high") forbid(principal, action == Action::"git.push", resource);
     @id("c") forbid(principal, action == Action::"git.create", resource);`,
  );
  expect(decide(ann, [main])).toMatchObject({ verdict: "deny", severity: "high" });
  expect(decide(ann, [onRef("git.create", "refs/heads/x")])).not.toHaveProperty("severity");
});

describe("an annotation that does not say what it should is an error in its place", () => {
  const FORBID = "forbid(principal, action, resource);";
  test.each([
    ['@hold("")', FORBID, 'not groups to approve: ""'],
    ["@hold", FORBID, 'not groups to approve: ""'],
    ['@hold("leads,")', FORBID, 'not groups to approve: "leads,"'],
    ['@hold("leads, 2 leads")', FORBID, 'not groups to approve: "leads, 2 leads"'],
    ['@hold("leads")', "permit(principal, action, resource);", "@hold on a permit"],
    ['@mask("secrets")', FORBID, "@mask on a forbid"],
    ['@mask("")', "permit(principal, action, resource);", 'not detectors: ""'],
    ['@mask("secrets; email")', "permit(principal, action, resource);", 'not detectors: "secrets; email"'],
    ['@severity("huge")', FORBID, 'not a severity: "huge"'],
    ["@severity", FORBID, 'not a severity: ""'],
    ['@holds("leads")', FORBID, "unknown annotation @holds"],
  ])("%s on %s", async (annotation, policy, message) => {
    expect(await errorsOf(file("a.cedar", `\n@id("x")\n${annotation} ${policy}`))).toEqual([
      { file: "a.cedar", line: 2, message, hint: expect.any(String) },
    ]);
  });
});

describe("@taint", () => {
  test("is in the decision of what is let through or held, and not in one that denies", async () => {
    const permit = `@id("w") @taint("wrote, a-b") permit(principal, action in Action::"git.write", resource);`;
    expect((await deciding(permit))(ann, [main])).toMatchObject({
      verdict: "allow",
      taint: ["a-b", "wrote"],
    });
    const holding = await deciding(`${permit} ${held("h", "leads")}`);
    expect(holding(ann, [main])).toMatchObject({ verdict: "hold", taint: ["a-b", "wrote"] });
    const denying = await deciding(`${permit} forbid(principal, action, resource);`);
    expect(denying(ann, [main])).not.toHaveProperty("taint");
  });

  test("that is no name, or stands where nothing passes, does not load", async () => {
    expect(
      await errorsOf(file("a.cedar", `@taint("Used:x") permit(principal, action, resource);`)),
    ).toMatchObject([{ message: expect.stringMatching(/not names of taints/) }]);
    expect(await errorsOf(file("a.cedar", `@taint("x") forbid(principal, action, resource);`))).toMatchObject(
      [{ message: expect.stringMatching(/@taint on a forbid/) }],
    );
  });
});
