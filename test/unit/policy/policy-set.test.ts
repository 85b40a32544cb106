import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { closePolicySet, openPolicySet } from "#workers/policy/set/policy-set.ts";
import { DEPTH_MAX, digestOf, OPERATORS_MAX } from "#workers/policy/set/source.ts";
import { ann, decidingBy, engine, errorsOf, file, onRef, opened } from "./asking.ts";

const GOOD = `@id("good") permit(principal, action, resource);`;

describe("a set that loads", () => {
  test("holds the policies of all files by id, each with its place, reason and severity", async () => {
    const set = await opened(
      file(
        "b.cedar",
        `// first\n\n@id("two")\n@reason("because")\n@severity("high")\nforbid(principal, action, resource)\nwhen { false };`,
      ),
      file("a.cedar", `@id("one") permit(principal, action, resource); // done`),
    );
    expect([...set.policies.values()]).toMatchObject([
      {
        id: "one",
        effect: "permit",
        file: "a.cedar",
        line: 1,
        text: `@id("one") permit(principal, action, resource);`,
      },
      {
        id: "two",
        effect: "forbid",
        file: "b.cedar",
        line: 3,
        reason: "because",
        severity: "high",
        text: expect.stringMatching(/^@id\("two"\)[\s\S]*;$/),
      },
    ]);
  });

  test("is named by the SHA-256 of its sorted files' names, lengths and bytes", async () => {
    const [a, b] = [file("a.cedar", GOOD), file("b.cedar", "// nothing")];
    const text = `a.cedar\0${a.bytes.length}\0${GOOD}b.cedar\0${b.bytes.length}\0// nothing`;
    const sha256 = createHash("sha256").update(text).digest("hex");
    expect((await opened(b, a)).digest).toBe(sha256);
    expect((await opened(a, b)).digest).toBe(sha256);
  });

  test("has another digest when a byte moves from one file to the next or a file is renamed", async () => {
    const sets = [
      [file("a.cedar", "x\n"), file("b.cedar", "y")],
      [file("a.cedar", "x"), file("b.cedar", "\ny")],
      [file("a.cedar", "x\n"), file("c.cedar", "y")],
      [file("a.cedar", "x\ny")],
    ];
    expect(new Set(await Promise.all(sets.map(digestOf))).size).toBe(4);
  });

  test("calls a policy without an id by its file and place, and says so", async () => {
    const set = await opened(file("a.cedar", `${GOOD}\npermit(principal, action, resource);`));
    expect([...set.policies.keys()]).toEqual(["good", "a.cedar#2"]);
    expect(set.warnings).toEqual([
      { file: "a.cedar", line: 2, message: "policy has no @id, so it is called a.cedar#2" },
    ]);
  });

  test("says which policy can never apply", async () => {
    const set = await opened(
      file(
        "a.cedar",
        `${GOOD}\n\n@id("never") forbid(principal, action == Action::"git.push", resource is Repository);`,
      ),
    );
    expect(set.warnings.every(({ file, line }) => file === "a.cedar" && line === 3)).toBe(true);
    expect(set.warnings.map(({ message }) => message).join()).toContain("policy is impossible");
  });

  test("may carry @hold on a forbid and @mask anywhere", async () => {
    const set = await opened(
      file(
        "a.cedar",
        `${GOOD} @id("h") @hold("leads") forbid(principal, action, resource) when { resource is Ref }; @id("m") @mask("secrets") permit(principal, action, resource);`,
      ),
    );
    expect([...set.policies.keys()]).toEqual(["good", "h", "m"]);
  });

  test("loads from a file with a byte order mark and Windows line ends", async () => {
    const set = await opened(
      file("a.cedar", `\uFEFF// x\r\n@id("one")\r\npermit(principal, action, resource);\r\n`),
    );
    expect(set.policies.get("one")?.line).toBe(2);
  });

  test("decides by nothing once it is closed, and another set is not touched", async () => {
    const [one, two] = [await opened(file("a.cedar", GOOD)), await opened(file("b.cedar", GOOD))];
    closePolicySet(one);
    expect(decidingBy(one)(ann, [onRef("git.push", "x")]).verdict).toBe("deny");
    expect(decidingBy(two)(ann, [onRef("git.push", "x")]).verdict).toBe("allow");
  });
});

describe("a set that does not load says where and why", () => {
  test("a syntax error, in the line Cedar stopped at, in every file", async () => {
    const bad = `// ünïcödé\n@id("x")\npermit(principal,\n  action\n  resource);\n${GOOD}\npermit(principal, action, resource)\n`;
    expect(
      await errorsOf(file("a.cedar", bad), file("b.cedar", "permt(principal, action, resource);")),
    ).toEqual([
      {
        file: "a.cedar",
        line: 5,
        message: "unexpected token `resource`",
        hint: "expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`",
      },
      { file: "a.cedar", line: 7, message: "unexpected end of input", hint: "expected `;` or identifier" },
      {
        file: "b.cedar",
        line: 1,
        message: "invalid policy effect: permt",
        hint: "effect must be either `permit` or `forbid`",
      },
    ]);
  });

  test("a type error and an attribute that does not exist, in their lines, after letters of several bytes", async () => {
    const text = `${GOOD}\n@id("t")\n@reason("größer")\npermit(principal, action == Action::"git.push", resource)\nwhen {\n  context.atomic == "yes" &&\n  resource.nme == "x"\n};`;
    expect(await errorsOf(file("a.cedar", text))).toEqual([
      expect.objectContaining({ file: "a.cedar", line: 6 }),
      {
        file: "a.cedar",
        line: 7,
        message: "attribute `nme` on entity type `Ref` not found",
        hint: "did you mean `name`?",
      },
    ]);
  });

  test("an attribute that may be missing and is not tested for", async () => {
    const text = `@id("t") permit(principal, action == Action::"git.fetch", resource)\nwhen { context.depth == "1" };`;
    expect(await errorsOf(file("a.cedar", text))).toEqual([
      expect.objectContaining({ file: "a.cedar", line: 2 }),
    ]);
  });

  test("an unknown action and an unknown entity type, with the nearest known one", async () => {
    const text = `${GOOD}\n@id("x") permit(\n  principal in Grop::"developers",\n  action == Action::"git.pull",\n  resource);`;
    expect(await errorsOf(file("a.cedar", text))).toEqual([
      { file: "a.cedar", line: 3, message: "unrecognized entity type `Grop`", hint: "did you mean `Group`?" },
      {
        file: "a.cedar",
        line: 4,
        message: 'unrecognized action `Action::"git.pull"`',
        hint: expect.stringMatching(/^did you mean /),
      },
    ]);
  });

  test("an id used twice, with both places, be it given or derived", async () => {
    const hint = "give each policy an @id of its own";
    expect(await errorsOf(file("a.cedar", `\n${GOOD}`), file("b.cedar", `// b\n\n${GOOD}`))).toEqual([
      { file: "b.cedar", line: 3, message: "policy id good is already used at a.cedar:2", hint },
    ]);
    const text = `@id("a.cedar#2") permit(principal, action, resource);\npermit(principal, action, resource);`;
    expect(await errorsOf(file("a.cedar", text))).toEqual([
      { file: "a.cedar", line: 2, message: "policy id a.cedar#2 is already used at a.cedar:1", hint },
    ]);
  });

  test.each([`@id`, `@id("")`, `@id("a b")`, `@id("__proto__")`, `@id("${"x".repeat(129)}")`])(
    "an id that is none: %s",
    async (annotation) => {
      const errors = await errorsOf(file("a.cedar", `\n${annotation} permit(principal, action, resource);`));
      expect(errors).toEqual([expect.objectContaining({ file: "a.cedar", line: 2 })]);
      expect(errors[0]?.message).toMatch(/^not a policy id: /);
    },
  );

  test("a misspelled annotation, and @hold on a permit", async () => {
    const text = `@id("a") @reson("x") permit(principal, action, resource);\n@id("b") @hold("leads") permit(principal, action, resource);`;
    expect(await errorsOf(file("a.cedar", text))).toEqual([
      {
        file: "a.cedar",
        line: 1,
        message: "unknown annotation @reson",
        hint: "use @id, @reason, @severity, @hold, @mask, @taint",
      },
      expect.objectContaining({ file: "a.cedar", line: 2, message: "@hold on a permit" }),
    ]);
  });

  test("a template, since nothing links it", async () => {
    const [error] = await errorsOf(
      file("a.cedar", `${GOOD}\n@id("t") permit(\n principal == ?principal, action, resource);`),
    );
    expect(error).toMatchObject({
      file: "a.cedar",
      line: 3,
      hint: "try removing the template slot(s) from this policy",
    });
  });

  test("a file that is not UTF-8, and a directory without a policy", async () => {
    expect(await errorsOf({ name: "a.cedar", bytes: Uint8Array.of(0xff, 0xfe) })).toEqual([
      { file: "a.cedar", message: "not UTF-8 text", hint: "save the file as UTF-8" },
    ]);
    const none = [{ file: "", message: "no policies", hint: "put at least one policy into a *.cedar file" }];
    expect(await errorsOf()).toEqual(none);
    expect(await errorsOf(file("a.cedar", "// nothing yet\n"))).toEqual(none);
  });

  test("leaves a set that is open as it was", async () => {
    const set = await opened(file("a.cedar", GOOD));
    expect(await errorsOf(file("a.cedar", "permit("))).not.toEqual([]);
    expect(decidingBy(set)(ann, [onRef("git.push", "x")]).verdict).toBe("allow");
  });
});

describe("a policy that would exhaust Cedar's stack", () => {
  const nested = (depth: number, operators: number) =>
    `@id("deep") permit(principal, action, resource) when {${"(".repeat(depth - 1)}${"true && ".repeat(operators - 1)}principal == principal${")".repeat(depth - 1)}};`;

  test("is refused before Cedar reads it, and Cedar goes on", async () => {
    for (const text of [
      nested(DEPTH_MAX + 1, 1),
      nested(2, OPERATORS_MAX + 1),
      nested(100_000, 1),
      nested(2, 100_000),
    ]) {
      const [error] = await errorsOf(file("a.cedar", `\n${text}`));
      expect(error).toMatchObject({ file: "a.cedar", line: 2 });
      expect(error?.message).toMatch(/^policy nests \d+ deep/);
    }
    expect(await errorsOf(file("a.cedar", GOOD))).toEqual([]);
  });

  test.each([
    ["brackets and conjunctions", nested(DEPTH_MAX, OPERATORS_MAX)],
    [
      "a disjunction at the bottom of brackets",
      `@id("x") permit(principal, action, resource) when {${"(".repeat(DEPTH_MAX - 1)}${`principal == User::"a" || `.repeat(OPERATORS_MAX - 1)}true${")".repeat(DEPTH_MAX - 1)}};`,
    ],
    [
      "a sum in negations",
      `@id("x") permit(principal, action, resource) when {${"!(".repeat(DEPTH_MAX - 1)}${"1 + ".repeat(OPERATORS_MAX - DEPTH_MAX)}1 == 2${")".repeat(DEPTH_MAX - 1)}};`,
    ],
    [
      "conditions by the dozen",
      `@id("x") permit(principal, action, resource) ${`when { principal in Group::"a" } `.repeat(OPERATORS_MAX)};`,
    ],
    [
      "choices within choices",
      `@id("x") permit(principal, action, resource) when {${`if principal in Group::"a" then `.repeat(OPERATORS_MAX - 1)}true${" else false".repeat(OPERATORS_MAX - 1)}};`,
    ],
  ])("loads and decides just within the limits: %s", async (_, text) => {
    const files = [file("a.cedar", `${text}\n${GOOD}`)];
    const answer = openPolicySet(engine, files, await digestOf(files));
    if ("errors" in answer) throw new Error(JSON.stringify(answer.errors).slice(0, 500));
    expect(decidingBy(answer.set)(ann, [onRef("git.push", "x")]).verdict).toBe("allow");
  });
});
