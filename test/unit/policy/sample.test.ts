import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Principal } from "#durable/format/principal.ts";
import type { Question } from "#durable/format/question/question.ts";
import { ann, deciding, decidingBy, lea, max, onRef, onRepository, opened, person } from "./asking.ts";

const dir = join(import.meta.dirname, "../../../policies");
const files = readdirSync(dir).filter((name) => name.endsWith(".cedar"));
const set = await opened(...files.map((name) => ({ name, bytes: readFileSync(join(dir, name)) })));
const decide = decidingBy(set);

const main = "refs/heads/main";
const topic = "refs/heads/topic";
const annsAgent = person("ann", ["developers"], "cursor");
const leasAgent = person("lea", ["developers", "leads"], "cursor");
const rows: [string, Principal, Question, "allow" | "deny", string[]][] = [
  ["a developer lists refs", ann, onRepository("git.refs"), "allow", ["members-read"]],
  ["a developer fetches", ann, onRepository("git.fetch"), "allow", ["members-read"]],
  ["a developer pushes to a topic branch", ann, onRef("git.push", topic), "allow", ["members-write"]],
  ["a developer makes a topic branch", ann, onRef("git.create", topic), "allow", ["members-write"]],
  ["a developer removes a topic branch", ann, onRef("git.delete", topic), "allow", ["members-write"]],
  ["a developer rewrites a topic branch", ann, onRef("git.force", topic), "deny", ["no-force-push"]],
  ["a developer pushes to main", ann, onRef("git.push", main), "deny", ["no-direct-main"]],
  ["a developer makes main", ann, onRef("git.create", main), "deny", ["no-direct-main"]],
  ["a developer removes main", ann, onRef("git.delete", main), "deny", ["no-delete-main"]],
  ["a developer rewrites main", ann, onRef("git.force", main), "deny", ["no-force-push"]],
  [
    "a developer makes a tag called main",
    ann,
    onRef("git.create", "refs/tags/main"),
    "allow",
    ["members-write"],
  ],
  [
    "a developer's agent pushes to a topic branch",
    annsAgent,
    onRef("git.push", topic),
    "allow",
    ["members-write"],
  ],
  ["a developer's agent pushes to main", annsAgent, onRef("git.push", main), "deny", ["no-direct-main"]],
  ["a lead pushes to main in person", lea, onRef("git.push", main), "allow", ["members-write"]],
  ["a lead's agent pushes to main", leasAgent, onRef("git.push", main), "deny", ["no-direct-main"]],
  ["a lead removes main", lea, onRef("git.delete", main), "deny", ["no-delete-main"]],
  ["a lead rewrites main", lea, onRef("git.force", main), "deny", ["no-force-push"]],
  [
    "a developer changes a workflow",
    ann,
    onRef("git.push", topic, { paths: [".github/workflows/ci.yml"] }),
    "deny",
    ["no-workflow-changes"],
  ],
  [
    "a lead changes a workflow in person",
    lea,
    onRef("git.create", topic, { paths: [".github/workflows/ci.yml"] }),
    "allow",
    ["members-write"],
  ],
  [
    "a developer pushes a file of 101 MB",
    ann,
    onRef("git.push", topic, { largest: 101 << 20 }),
    "deny",
    ["no-large-files"],
  ],
  [
    "a developer pushes a file of 99 MB",
    ann,
    onRef("git.push", topic, { largest: 99 << 20 }),
    "allow",
    ["members-write"],
  ],
  ["somebody of another group fetches", max, onRepository("git.fetch"), "deny", []],
  ["somebody of another group pushes to main", max, onRef("git.push", main), "deny", ["no-direct-main"]],
  ["somebody without groups lists refs", person("zoe", []), onRepository("git.refs"), "deny", []],
];

test.each(rows)("by the sample policies, %s", (_, principal, question, verdict, policies) => {
  expect(decide(principal, [question])).toMatchObject({ verdict, policies, set: set.digest });
});

test("the examples of the README say what they say of pushes that were read, and of those that were not", async () => {
  const readme = readFileSync(join(dir, "README.md"), "utf8");
  const [, examples = ""] = /```cedar\n(.*?)```/s.exec(readme) ?? [];
  const access = '@id("all") permit (principal, action, resource);';
  const byExamples = await deciding(`${access}\n${examples}`);
  const read = { inspected: true, unsigned: 0, authors: ["ann@example.com"] };
  const asked = (context: Question["context"]) =>
    byExamples(ann, [onRef("git.push", topic, { ...read, ...context })]).policies;
  expect(asked({})).toEqual(["all"]);
  expect(asked({ inspected: false })).toEqual(["looked-into"]);
  expect(asked({ unsigned: 2 })).toEqual(["signed"]);
  expect(asked({ authors: ["ann@example.com", "eve@elsewhere.test"] })).toEqual(["own-address"]);
});

test("the sample policies load without a warning, and every one of them has a reason", () => {
  expect(set.warnings).toEqual([]);
  expect([...set.policies.values()].filter(({ reason }) => reason === undefined)).toEqual([]);
});
