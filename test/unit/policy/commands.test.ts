/** `steno policy …` as it is called, on directories as they lie on disk. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { UsageFault } from "#scripts/cli/flags.ts";
import { policy } from "#scripts/policy/policy.ts";

const top = mkdtempSync(join(tmpdir(), "steno-policy-"));
afterAll(() => rmSync(top, { recursive: true }));
let made = 0;
let said: string[] = [];
let complained: string[] = [];
beforeEach(() => {
  said = [];
  complained = [];
});

function directory(files: Readonly<Record<string, string>>): string {
  const dir = join(top, `${made++}`);
  mkdirSync(dir);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

const run = (...args: string[]) =>
  policy(args, { env: {}, out: (line) => said.push(line), err: (line) => complained.push(line) });

const RULES = `@id("read") @reason("members read") permit(principal in Group::"members", action in Action::"git.read", resource);
@id("write")
@reason("members write")
permit(principal in Group::"members", action in Action::"git.write", resource);
@id("main") @hold("2 leads") @reason("main is looked at")
forbid(principal, action == Action::"git.push", resource)
when { resource.name == "refs/heads/main" && context.refs == 1 }
unless { principal has agent };
@id("sum") forbid(principal, action == Action::"git.delete", resource) when { 9223372036854775807 + context.refs == 0 };
`;
const CASE = `[[case]]
name = "a member reads"
principal = { groups = ["members"] }
action = "git.fetch"
resource = { repository = "app" }
verdict = "allow"
`;

describe("policy validate", () => {
  test("says how many policies there are, and under which digest", async () => {
    expect(await run("validate", directory({ "a.cedar": RULES }))).toBe(0);
    expect(said).toEqual([expect.stringMatching(/^4 policies, SHA-256 [0-9a-f]{64}$/)]);
  });

  test("exits 1 with file, line and a hint for each error", async () => {
    const dir = directory({
      "a.cedar": `@id("x")\n@severity("huge")\npermit(principal, action, resource);\n`,
      "b.cedar": "permit(principal, action == Action::git, resource);",
    });
    expect(await run("validate", dir)).toBe(1);
    expect(said[0]).toBe(`error: a.cedar:1: not a severity: "huge" (one of low, medium, high, critical)`);
    expect(said[1]).toMatch(/^error: b\.cedar:1: /);
    said = [];
    expect(await run("validate", dir, "--json")).toBe(1);
    expect(JSON.parse(said[0] ?? "").errors[0]).toMatchObject({ file: "a.cedar", line: 1 });
  });

  test("warns of a directory below that has policies, and of a policy that can never apply", async () => {
    const dir = directory({
      "a.cedar": `@id("x") permit(principal, action == Action::"git.push", resource is Ref) when { resource is Repository };`,
      "more/b.cedar": RULES,
      "notes/c.md": "",
    });
    expect(await run("validate", dir)).toBe(0);
    expect(complained).toHaveLength(2);
    expect(complained.join("\n")).toContain("warning: more: directory is not read");
  });
});

describe("policy test", () => {
  test("passes when every case is as it says, and names policies that no case is decided by", async () => {
    expect(await run("test", directory({ "a.cedar": RULES, "a.test.toml": CASE }))).toBe(0);
    expect(said).toEqual([expect.stringMatching(/^1 of 1 cases are as they say, by SHA-256 /)]);
    expect(complained).toEqual(["write", "main", "sum"].map((id) => `warning: no case is decided by ${id}`));
  });

  test("exits 1 and says for each case what was expected and what was decided", async () => {
    const wrong = `${CASE}
[[case]]
name = "a member pushes to main"
principal = { groups = ["members"] }
action = "git.push"
resource = { repository = "app", ref = "refs/heads/main" }
verdict = "allow"
policies = ["write"]
hold = []
reason = "members"
`;
    expect(await run("test", directory({ "a.cedar": RULES, "a.test.toml": wrong }))).toBe(1);
    expect(said).toEqual([
      "failed: a.test.toml: a member pushes to main",
      `  verdict: expected "allow", got "hold"`,
      "  policies: expected write, got main",
      "  hold: expected none, got 2 leads",
      `  reason: expected something with "members", got "main is looked at"`,
      expect.stringMatching(/^1 of 2 cases are as they say/),
    ]);
  });

  test.each([
    ["no file of cases", {}, /has no \*\.test\.toml/],
    ["a file without a case", { "a.test.toml": "" }, /there is no \[\[case\]\] in it/],
    ["a file that is not TOML", { "a.test.toml": "[[case]" }, /^error: a\.test\.toml: /],
    [
      "a misspelled key",
      { "a.test.toml": `${CASE}verdikt = "deny"\n` },
      /case "a member reads": unknown key verdikt, did you mean verdict\?/,
    ],
    [
      "a case without a verdict",
      { "a.test.toml": `[[case]]\nname = "x"\naction = "git.refs"\n` },
      /case "x": it lacks verdict/,
    ],
    ["two cases of one name", { "a.test.toml": CASE + CASE }, /two of case "a member reads"/],
    [
      "an unknown action",
      { "a.test.toml": CASE.replace("git.fetch", "git.fetsh") },
      /git\.fetsh is not an action, did you mean git\.fetch\?/,
    ],
    [
      "a resource that lacks a step",
      { "a.test.toml": CASE.replace("repository", "connection") },
      /the resource of a Repository needs repository/,
    ],
    [
      "a resource with a step too many",
      { "a.test.toml": CASE.replace("{ repository", `{ ref = "x", repository`) },
      /a Repository lies in no ref/,
    ],
    [
      "a context the action does not have",
      { "a.test.toml": `${CASE}context = { moon = "full" }\n` },
      /the context of git\.fetch has no moon/,
    ],
    [
      "a context of another type",
      { "a.test.toml": `${CASE}context = { size = "big" }\n` },
      /size in the context of git\.fetch is not a Long/,
    ],
    ["an hour that no day has", { "a.test.toml": `${CASE}facts = { hour = 24 }\n` }, /facts\.hour: /],
  ])("exits 2 for %s, with the file, the case and what is wrong", async (_, files, message) => {
    const dir = directory({ "a.cedar": RULES, ...files });
    const code = await run("test", dir).catch((thrown: unknown) => {
      if (!(thrown instanceof UsageFault)) throw thrown;
      complained.push(thrown.message);
      return 2;
    });
    expect(code).toBe(2);
    expect(complained.at(-1)).toMatch(message);
    expect(said).toEqual([]);
  });

  test("exits 2 when the policies do not load", async () => {
    expect(await run("test", directory({ "a.cedar": "permit(", "a.test.toml": CASE }))).toBe(2);
    expect(complained[0]).toMatch(/^error: a\.cedar:1: /);
  });
});

describe("policy explain", () => {
  const asking = (question: object): [string, string] => {
    const dir = directory({ "a.cedar": RULES, "question.json": JSON.stringify(question) });
    return [join(dir, "question.json"), dir];
  };
  const push = {
    principal: { groups: ["members"] },
    action: "git.push",
    resource: { repository: "app", ref: "refs/heads/main" },
  };

  test("says of each policy whether it applies, and which condition stops it", async () => {
    const [file, dir] = asking(push);
    expect(await run("explain", file, "--policies", dir)).toBe(1);
    expect(said).toEqual([
      "git.push on code/app/refs/heads/main",
      "  applies: permit write (a.cedar:2): members write",
      "  applies: forbid main (a.cedar:5): main is looked at",
      "  its action is another: read, sum",
      "approval by: 2 of leads",
      "hold: main is looked at",
    ]);
    said = [];
    const [other] = asking({ ...push, resource: { repository: "app", ref: "x" } });
    expect(await run("explain", other, "--policies", dir)).toBe(0);
    expect(said).toContain(
      `  does not apply: forbid main (a.cedar:5): when { resource.name == "refs/heads/main" } is false`,
    );
    said = [];
    const [agents] = asking({ ...push, principal: { groups: ["members"], agent: "cursor" } });
    expect(await run("explain", agents, "--policies", dir)).toBe(0);
    expect(said).toContain(
      "  does not apply: forbid main (a.cedar:5): unless { principal has agent } is true",
    );
  });

  test("says why a policy fails, and whose scope the principal is not in", async () => {
    const [file, dir] = asking({ action: "git.delete", resource: { repository: "app", ref: "x" } });
    expect(await run("explain", file, "--policies", dir)).toBe(1);
    expect(said.join("\n")).toMatch(/ {2}fails: forbid sum \(a\.cedar:9\): integer overflow/);
    expect(said).toContain("  its principal is another: write");
    expect(said.at(-1)).toMatch(/^deny: policy sum failed: integer overflow/);
  });

  test("names the condition that fails, and runs whole what has numbers that would not survive being taken apart", async () => {
    const dir = directory({
      "a.cedar": `@id("product") permit(principal, action, resource) when { true && 9007199254740991 * 9007199254740991 == 0 };
@id("exact") permit(principal, action == Action::"git.refs", resource) when { 9007199254740993 != 9007199254740992 };
@id("never") permit(principal, action == Action::"git.refs", resource) when { 9007199254740993 == 9007199254740992 };`,
      "question.json": JSON.stringify({ action: "git.refs", resource: { repository: "app" } }),
    });
    expect(await run("explain", join(dir, "question.json"), "--policies", dir)).toBe(1);
    expect(said.slice(1, 4)).toEqual([
      "  applies: permit exact (a.cedar:2)",
      expect.stringMatching(
        /^ {2}fails: permit product \(a\.cedar:1\): when \{ .*9007199254740991.* \}: integer overflow/,
      ),
      "  does not apply: permit never (a.cedar:3): one of its conditions",
    ]);
  });

  test("prints one JSON object with --json", async () => {
    const [file, dir] = asking(push);
    expect(await run("explain", file, "--policies", dir, "--json")).toBe(1);
    const told = JSON.parse(said[0] ?? "");
    expect(told).toMatchObject({
      verdict: "hold",
      hold: [{ group: "leads", count: 2 }],
      facts: { now: { weekday: 4 } },
    });
    expect(
      told.parts[0].policies.map(({ id, outcome }: { id: string; outcome: string }) => `${id} ${outcome}`),
    ).toEqual(["read out of scope", "write applies", "main applies", "sum out of scope"]);
  });

  test("refuses what is no question, and more or less than one", async () => {
    const [file, dir] = asking({ ...push, verdict: "deny" });
    await expect(run("explain", file, "--policies", dir)).rejects.toThrow("unknown key verdict");
    await expect(run("explain", join(dir, "a.cedar"), "--policies", dir)).rejects.toThrow(
      "cannot be read as JSON",
    );
    await expect(run("explain")).rejects.toThrow(UsageFault);
    await expect(run("explain", file, "--session", dir, "--exchange", "x")).rejects.toThrow(UsageFault);
    await expect(run("explain", "--session", dir)).rejects.toThrow(UsageFault);
    await expect(run("explain", "--session", dir, "--exchange", "x", "--policies", dir)).rejects.toThrow(
      "not the id of an exchange",
    );
    await expect(run("explian")).rejects.toThrow("say policy validate, policy test");
  });
});
