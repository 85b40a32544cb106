/** Checks a policy directory as the evaluator would at load, for the CLI. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import { guarded } from "#workers/policy/cedar.ts";
import { closePolicySet, openPolicySet } from "#workers/policy/set/policy-set.ts";
import { digestOf, isPolicyName, type PolicyFile, type PolicyFinding } from "#workers/policy/set/source.ts";

export type Validation =
  | { readonly digest: string; readonly policies: number; readonly warnings: readonly PolicyFinding[] }
  | { readonly errors: readonly PolicyFinding[] };

/** Never throws for what is in the directory: a directory that cannot be read is an error like any other. */
export async function validatePolicies(dir: string): Promise<Validation> {
  const warnings: PolicyFinding[] = [];
  try {
    const files = await readPolicies(dir, warnings);
    const engine = guarded(cedar);
    const opened = openPolicySet(engine, files, await digestOf(files));
    if ("errors" in opened) return opened;
    closePolicySet(opened.set);
    const { digest, policies } = opened.set;
    return { digest, policies: policies.size, warnings: [...warnings, ...opened.set.warnings] };
  } catch (cause) {
    const message = `cannot load policies: ${cause instanceof Error ? cause.message : String(cause)}`;
    return { errors: [{ file: "", message, hint: "set [policy] dir to a readable directory" }] };
  }
}

async function readPolicies(dir: string, warnings: PolicyFinding[]): Promise<PolicyFile[]> {
  const files: PolicyFile[] = [];
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (entry.isDirectory() && !entry.name.startsWith(".")) {
      warnings.push({
        file: entry.name,
        message: "directory is not read",
        hint: "policies stand beside each other",
      });
    } else if (!entry.isDirectory() && isPolicyName(entry.name)) {
      files.push({ name: entry.name, bytes: await readFile(join(dir, entry.name)) });
    }
  }
  return files;
}
