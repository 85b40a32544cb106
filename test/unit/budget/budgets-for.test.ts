import { expect, test } from "vitest";
import { type Budget, budgetsFor } from "#durable/format/budget/budget.ts";
import type { ConnectionName } from "#durable/format/ids.ts";

const budget = (name: string, more: Partial<Budget> = {}): Budget => ({ name, windowSeconds: 60, ...more });
const all = [
  budget("everything"),
  budget("interns", { group: "interns" }),
  budget("models", { connection: "models" as ConnectionName }),
  budget("chat", { operation: "llm.chat" }),
  budget("git", { operation: "git.*" }),
];

test.each([
  [{ groups: [], connection: "code", operation: "git.push" }, ["everything", "git"]],
  [
    { groups: ["interns"], connection: "models", operation: "llm.chat" },
    ["everything", "interns", "models", "chat"],
  ],
  [{ groups: ["leads"], connection: "models", operation: "llm.count" }, ["everything", "models"]],
  [{ groups: [], connection: "x", operation: "gitlab.push" }, ["everything"]],
])("%j draws on %j", (counted, names) => {
  expect(budgetsFor(all, counted).map(({ name }) => name)).toEqual(names);
});
