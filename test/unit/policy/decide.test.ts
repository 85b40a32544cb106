import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Question } from "#durable/format/question/question.ts";
import type { Cedar } from "#workers/policy/cedar.ts";
import { decider } from "#workers/policy/decide.ts";
import {
  ann,
  atNow,
  brief,
  connection,
  deciding,
  engine,
  file,
  lea,
  max,
  onRef,
  onRepository,
  opened,
  person,
  repository,
} from "./asking.ts";

const PERMIT = `@id("all") permit(principal, action, resource);`;

describe("what is not permitted is denied", () => {
  test("without a permit that applies, the reason names the action and what it was about", async () => {
    const decide = await deciding(`@id("reads") permit(principal, action in Action::"git.read", resource);`);
    expect(decide(ann, [onRef("git.push", "refs/heads/x")])).toMatchObject({
      verdict: "deny",
      policies: [],
      reason: "no policy permits git.push on refs/heads/x",
      denied: [{ part: "refs/heads/x", reason: "no policy permits git.push on refs/heads/x" }],
    });
    const fetching = await deciding(`@id("w") permit(principal, action in Action::"git.write", resource);`);
    expect(fetching(ann, [onRepository("git.fetch")])).toMatchObject({
      reason: "no policy permits git.fetch on payments/app",
      denied: [],
    });
  });

  test("an operation that asks nothing is denied", async () => {
    const decide = await deciding(PERMIT);
    expect(decide(ann, [])).toMatchObject({ verdict: "deny", reason: "nothing was asked", policies: [] });
  });

  test("a forbid wins over any permit, with its reason or else its id", async () => {
    const decide = await deciding(
      `${PERMIT} @id("b") @reason("not today") forbid(principal, action == Action::"git.push", resource);
       @id("a") forbid(principal, action == Action::"git.push", resource);`,
    );
    expect(decide(ann, [onRef("git.push", "refs/heads/x")])).toMatchObject({
      verdict: "deny",
      policies: ["a", "b"],
      reason: "forbidden by policy a; not today",
    });
  });
});

describe("an operation of several parts", () => {
  test("is allowed only when every part is, and names the parts that are not, each with its reason", async () => {
    const decide = await deciding(
      `@id("w") @reason("yours") permit(principal, action, resource) when { resource is Ref && resource.name like "refs/heads/ann/*" };
       @id("m") @reason("main is closed") forbid(principal, action, resource is Ref) when { resource.name == "refs/heads/main" };`,
    );
    const mine = onRef("git.push", "refs/heads/ann/x");
    expect(decide(ann, [mine])).toMatchObject({
      verdict: "allow",
      policies: ["w"],
      reason: "yours",
      denied: [],
    });
    expect(
      decide(ann, [onRef("git.push", "refs/heads/z"), mine, onRef("git.push", "refs/heads/main")]),
    ).toMatchObject({
      verdict: "deny",
      policies: ["m"],
      reason: "main is closed; no policy permits git.push on refs/heads/z",
      denied: [
        { part: "refs/heads/main", reason: "main is closed" },
        { part: "refs/heads/z", reason: "no policy permits git.push on refs/heads/z" },
      ],
    });
  });

  test("with a thousand parts refused says a few reasons in one sentence and all of them part by part", async () => {
    const decide = await deciding(`@id("r") permit(principal, action in Action::"git.read", resource);`);
    const many = Array.from({ length: 1000 }, (_, n) => onRef("git.create", `refs/heads/${n}`));
    const decision = decide(ann, many);
    expect(decision.denied).toHaveLength(1000);
    expect(decision.reason.endsWith("; and 992 more")).toBe(true);
    expect(decision.reason.length).toBeLessThan(500);
  });

  test("gets the same decision in whatever order the parts are asked", async () => {
    const decide = await deciding(
      `@id("w") permit(principal in Group::"developers", action in Action::"git.write", resource);
       @id("f") @reason("no force") forbid(principal, action == Action::"git.force", resource);
       @id("m") forbid(principal, action, resource is Ref) when { resource.name like "*/main" };`,
    );
    const question = fc
      .tuple(
        fc.constantFrom(
          "git.push" as const,
          "git.create" as const,
          "git.delete" as const,
          "git.force" as const,
        ),
        fc.constantFrom("refs/heads/main", "refs/heads/a", "refs/heads/b", "refs/tags/main"),
      )
      .map(([action, name]) => onRef(action, name));
    const asked = fc
      .array(question, { minLength: 1, maxLength: 6 })
      .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })));
    fc.assert(
      fc.property(asked, fc.constantFrom(ann, lea, max), ([all, shuffled], principal) => {
        const decision = decide(principal, all);
        expect(decide(principal, shuffled)).toEqual(decision);
        expect(decision.verdict).toBe(
          all.every((one) => decide(principal, [one]).verdict === "allow") ? "allow" : "deny",
        );
      }),
      { numRuns: 100 },
    );
  });
});

describe("who asks", () => {
  test("is a user of an issuer: the same subject of another issuer is somebody else", async () => {
    const decide = await deciding(
      `@id("u") permit(principal == User::"https://login.example|ann", action, resource);`,
    );
    expect(brief(decide(ann, [onRepository("git.refs")])).verdict).toBe("allow");
    expect(
      brief(decide({ ...ann, issuer: "https://other.example" }, [onRepository("git.refs")])).verdict,
    ).toBe("deny");
  });

  test("with a bar in the issuer is denied, since it could name another issuer's user", async () => {
    const decide = await deciding(PERMIT);
    const decision = decide({ issuer: "https://login.example|a", subject: "b", groups: [] }, [
      onRepository("git.refs"),
    ]);
    expect(decision).toMatchObject({ verdict: "deny", policies: [] });
    expect(decision.reason).toContain("an issuer with |");
  });

  test("stays the person when an agent acts for them, and policies see the agent", async () => {
    const decide = await deciding(
      `@id("p") permit(principal == User::"https://login.example|ann", action, resource);
       @id("a") forbid(principal, action == Action::"git.push", resource) when { principal has agent && principal.agent == Agent::"cursor" };`,
    );
    const push = onRef("git.push", "refs/heads/x");
    expect(brief(decide(ann, [push])).verdict).toBe("allow");
    expect(brief(decide(person("ann", [], "other"), [push])).verdict).toBe("allow");
    expect(brief(decide(person("ann", [], "cursor"), [push]))).toMatchObject({
      verdict: "deny",
      policies: ["a"],
    });
  });

  test("cannot be chosen by display name, and a group named twice counts once", async () => {
    const decide = await deciding(`@id("g") permit(principal in Group::"developers", action, resource);`);
    const twice = { ...person("ann", ["developers", "developers"]), name: "Ann" };
    expect(brief(decide(twice, [onRepository("git.refs")])).verdict).toBe("allow");
  });

  test("is permitted by group alone, whatever letters names are made of", async () => {
    const decide = await deciding(
      `@id("g") permit(principal in Group::"developers", action, resource);
       @id("m") forbid(principal, action, resource is Ref) when { resource.name == "refs/heads/main" };`,
    );
    const odd = fc.constantFrom(
      "developers",
      "refs/heads/main",
      '"',
      "\\",
      "__entity",
      "__proto__",
      "*",
      "\0",
    );
    const word = fc.oneof(odd, fc.string({ unit: "binary", maxLength: 12 }), fc.string({ maxLength: 12 }));
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 3 }), word, word, (subject, groups, agent, name) => {
        const asked = onRef("git.push", name, { options: [name, agent] });
        const { verdict } = decide(person(subject, groups, agent), [asked]);
        const allowed = groups.includes("developers") && name !== "refs/heads/main";
        expect(verdict).toBe(allowed ? "allow" : "deny");
      }),
      { numRuns: 300 },
    );
  });
});

describe("what is asked for", () => {
  test("lies in its repository and connection, so that a policy on either reaches every ref", async () => {
    for (const scope of [`Connection::"payments"`, `Repository::"payments/app"`]) {
      const decide = await deciding(`${PERMIT} @id("f") forbid(principal, action, resource in ${scope});`);
      expect(brief(decide(ann, [onRef("git.push", "refs/heads/x")])).policies).toEqual(["f"]);
      expect(brief(decide(ann, [onRepository("git.fetch")])).policies).toEqual(["f"]);
    }
  });

  const push = onRef("git.push", "refs/heads/x");
  const odd: [string, Question][] = [
    ["lies in no connection", { ...push, resource: { type: "Repository", id: "a", attrs: {} } }],
    ["is a ref directly in a connection", { ...push, resource: { ...push.resource, within: connection } }],
    ["is a ref of a ref", { ...push, resource: { ...push.resource, within: push.resource } }],
    [
      "lies in more than a connection",
      {
        ...push,
        resource: {
          ...push.resource,
          within: { ...repository, within: { ...connection, within: connection } },
        },
      },
    ],
    ["is of a type nobody knows", { ...push, resource: { ...push.resource, type: "Planet" as "Ref" } }],
    [
      "has an attribute the schema does not know",
      { ...push, resource: { ...push.resource, attrs: { name: "x", y: "" } } },
    ],
    ["lacks an attribute the schema promises", { ...push, resource: { ...push.resource, attrs: {} } }],
    ["lacks a context the schema promises", { ...push, context: { atomic: true } }],
    ["has a context the schema does not know", { ...push, context: { ...push.context, moon: "full" } }],
    ["has a number where a truth value belongs", { ...push, context: { ...push.context, atomic: 1 } }],
    ["has a broken number", { ...push, context: { ...push.context, refs: 1.5 } }],
    ["is of a type the action is not for", { ...push, action: "git.fetch" }],
    ["is an action nobody knows", { ...push, action: "git.sudo" as "git.push" }],
  ];
  test.each(odd)("is denied when it %s, although everything is permitted", async (_, question) => {
    const decide = await deciding(PERMIT);
    expect(brief(decide(ann, [push])).verdict).toBe("allow");
    const decision = decide(ann, [question]);
    expect(decision).toMatchObject({ verdict: "deny", policies: [] });
    expect(decision.reason).toMatch(/^the question cannot be asked: /);
  });
});

describe("when things go wrong", () => {
  test("a policy that fails while it runs denies, even if it is a forbid that would have been left out", async () => {
    const decide = await deciding(
      `${PERMIT} @id("sum") forbid(principal, action, resource is Ref) when { 9223372036854775807 + 1 == 0 };`,
    );
    expect(decide(ann, [onRef("git.push", "r")])).toMatchObject({
      verdict: "deny",
      policies: ["sum"],
      reason:
        "policy sum failed: integer overflow while attempting to add the values `9223372036854775807` and `1`",
    });
    expect(brief(decide(ann, [onRepository("git.fetch")])).verdict).toBe("allow");
  });

  test("a forbid and a failure are both named", async () => {
    const decide = await deciding(
      `${PERMIT} @id("sum") permit(principal, action, resource) when { 9223372036854775807 + 1 == 0 };
       @id("no") @reason("closed") forbid(principal, action, resource);`,
    );
    expect(decide(ann, [onRef("git.push", "r")])).toMatchObject({ verdict: "deny", policies: ["no", "sum"] });
  });
});

describe("remembered answers", () => {
  async function counting(remembered: number) {
    const set = await opened(
      file(
        "a.cedar",
        `@id("g") permit(principal, action, resource) when { principal in Group::"developers" };
         @id("a") forbid(principal, action == Action::"git.push", resource) when { context.atomic && context has size && context.size > 100 };`,
      ),
    );
    const asked: unknown[] = [];
    const counted: Cedar = {
      ...engine,
      statefulIsAuthorized: (call) => {
        asked.push(call.resource);
        return engine.statefulIsAuthorized(call);
      },
    };
    return { asked, decide: atNow(decider(counted, set, remembered)) };
  }

  test("the same question of the same principal is evaluated once", async () => {
    const { asked, decide } = await counting(10);
    const first = decide(ann, [onRef("git.push", "refs/heads/x")]);
    expect(decide(ann, [onRef("git.push", "refs/heads/x")])).toEqual(first);
    expect(asked).toHaveLength(1);
  });

  test("another group, agent, issuer, ref, action or context is another question", async () => {
    const { asked, decide } = await counting(10);
    const question = onRef("git.push", "refs/heads/x");
    decide(ann, [question]);
    expect(decide({ ...ann, groups: [] }, [question]).verdict).toBe("deny");
    decide({ ...ann, agent: "cursor" }, [question]);
    decide({ ...ann, issuer: "https://other.example" }, [question]);
    decide(ann, [onRef("git.push", "refs/heads/y")]);
    decide(ann, [onRef("git.create", "refs/heads/x")]);
    decide(ann, [onRef("git.push", "refs/heads/x", { atomic: true })]);
    expect(asked).toHaveLength(7);
  });

  test("what no policy reads makes no other question, and what one reads does", async () => {
    const { asked, decide } = await counting(1);
    const push = (context: Question["context"]) => decide(ann, [onRef("git.push", "refs/heads/x", context)]);
    expect(push({ atomic: true, size: 100, commits: 1 }).verdict).toBe("allow");
    for (const commits of [2, 3]) expect(push({ atomic: true, size: 100, commits }).verdict).toBe("allow");
    expect(asked).toHaveLength(1);
    expect(push({ atomic: true, size: 101, commits: 1 }).verdict).toBe("deny");
    expect(push({ atomic: true, size: 100, commits: 4 }).verdict).toBe("allow");
    expect(asked).toHaveLength(2);
  });

  test("are bounded: the one not asked for longest goes first", async () => {
    const { asked, decide } = await counting(2);
    const ref = (n: number) => decide(ann, [onRef("git.push", `refs/heads/${n}`)]);
    for (let n = 0; n < 512; n++) ref(n);
    for (const n of [0, 512, 0]) ref(n);
    expect(asked).toHaveLength(513);
    ref(1);
    expect(asked).toHaveLength(514);
    decide(ann, [onRef("git.push", "x".repeat(10_000))]);
    decide(ann, [onRef("git.push", "x".repeat(10_000))]);
    expect(asked).toHaveLength(516);
  });
});
