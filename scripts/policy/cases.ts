/** Test cases of policies: `*.test.toml` beside them, each a situation and what is to be decided of it. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "smol-toml";
import * as v from "valibot";
import { nearest } from "#scripts/config/nearest.ts";
import { Situation } from "./situation.ts";

const Case = v.strictObject({
  name: v.pipe(v.string(), v.nonEmpty("a name")),
  ...Situation.entries,
  verdict: v.picklist(["allow", "deny", "hold"]),
  /** The policies that determine it, all of them, in any order. */
  policies: v.optional(v.array(v.string())),
  /** Part of the reason. */
  reason: v.optional(v.string()),
  /** As in `@hold`: `["leads", "2 security"]`. */
  hold: v.optional(v.array(v.string())),
  mask: v.optional(v.array(v.string())),
});
export type Case = v.InferOutput<typeof Case>;

export type CaseFile = { readonly file: string } & (
  | { readonly cases: readonly Case[] }
  | { readonly error: string }
);

export const CASES = ".test.toml";

/** Every file of cases in a directory, by name. */
export async function readCases(dir: string): Promise<CaseFile[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith(CASES) && !name.startsWith("."));
  return Promise.all(
    names.toSorted().map(async (file) => ({ file, ...parseCases(await readFile(join(dir, file), "utf8")) })),
  );
}

export function parseCases(text: string): { cases: readonly Case[] } | { error: string } {
  let raw: Record<string, unknown>;
  try {
    raw = parse(text);
  } catch (thrown) {
    return {
      error: (thrown instanceof Error ? thrown.message : String(thrown)).replaceAll(/\s*\n\s*/g, " "),
    };
  }
  const { case: list, ...others } = raw;
  const [stranger] = Object.keys(others);
  if (stranger !== undefined) return { error: `unknown key ${stranger}: a file holds [[case]] tables only` };
  if (!Array.isArray(list) || list.length === 0) return { error: "there is no [[case]] in it" };
  const cases: Case[] = [];
  for (const [n, one] of list.entries()) {
    const parsed = v.safeParse(Case, one);
    const name = (one as { name?: unknown } | null)?.name;
    const where = typeof name === "string" ? `case "${name}"` : `case ${n + 1}`;
    if (!parsed.success) return { error: `${where}: ${explained(parsed.issues[0])}` };
    if (cases.some((other) => other.name === parsed.output.name)) return { error: `two of ${where}` };
    cases.push(parsed.output);
  }
  return { cases };
}

/** One issue as a sentence, with the key that was probably meant. */
export function explained(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? "";
  if (issue.type === "strict_object" && issue.expected === "never") {
    const key = path.split(".").at(-1) ?? path;
    const near = nearest(key, [
      ...Object.keys(Case.entries),
      "issuer",
      "subject",
      "groups",
      "agent",
      "day",
      "hour",
      "client",
      "taints",
    ]);
    return `unknown key ${path}${near === undefined ? "" : `, did you mean ${near}?`}`;
  }
  if (issue.received === "undefined") return `it lacks ${path}`;
  return `${path}: ${issue.message}`;
}
