/** A policy directory, opened by Cedar's Node build as the evaluator opens it. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import { type Cedar, guarded } from "#workers/policy/cedar.ts";
import { openPolicySet, type PolicySet } from "#workers/policy/set/policy-set.ts";
import { digestOf, isPolicyName, type PolicyFile, type PolicyFinding } from "#workers/policy/set/source.ts";

export type OpenedPolicies =
  | { readonly cedar: Cedar; readonly set: PolicySet; readonly warnings: readonly PolicyFinding[] }
  | { readonly errors: readonly PolicyFinding[] };

/** Never throws for what is in the directory: a directory that cannot be read is an error like any other. */
export async function openPolicies(dir: string): Promise<OpenedPolicies> {
  const warnings: PolicyFinding[] = [];
  try {
    const files = await readPolicies(dir, warnings);
    const engine = guarded(cedar);
    const opened = openPolicySet(engine, files, await digestOf(files));
    if ("errors" in opened) return opened;
    const { set } = opened;
    return { cedar: engine, set, warnings: [...warnings, ...set.warnings] };
  } catch (cause) {
    const message = `cannot load policies: ${cause instanceof Error ? cause.message : String(cause)}`;
    return { errors: [{ file: "", message, hint: "set [policy] dir to a readable directory" }] };
  }
}

async function readPolicies(dir: string, warnings: PolicyFinding[]): Promise<PolicyFile[]> {
  const files: PolicyFile[] = [];
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const { name } = entry;
    if (entry.isDirectory() && !name.startsWith(".") && (await holdsPolicies(join(dir, name)))) {
      const hint = "policies stand beside each other";
      warnings.push({ file: name, message: "directory is not read", hint });
    } else if (!entry.isDirectory() && isPolicyName(name)) {
      files.push({ name, bytes: await readFile(join(dir, name)) });
    }
  }
  return files;
}

async function holdsPolicies(dir: string): Promise<boolean> {
  return (await readdir(dir)).some(isPolicyName);
}

/** Where a finding is, `protect.cedar:12` or the directory, and what it is with how to mend it, on one line. */
export function placed(
  { file, line, message, hint }: PolicyFinding,
  dir: string,
): { at: string; text: string } {
  const at = file === "" ? dir : line === undefined ? file : `${file}:${line}`;
  return { at, text: `${message}${hint === undefined ? "" : ` (${hint})`}`.replaceAll(/\s*\n\s*/g, " ") };
}

/** The same as one line. */
export function findingLine(finding: PolicyFinding, dir: string): string {
  const { at, text } = placed(finding, dir);
  return `${at}: ${text}`;
}
