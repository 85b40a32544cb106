/** Checks a policy directory as the evaluator would at load, for `steno check`. */
import type { PolicyFinding } from "#workers/policy/set/source.ts";
import { openPolicies } from "./open.ts";

export type Validation =
  | { readonly digest: string; readonly policies: number; readonly warnings: readonly PolicyFinding[] }
  | { readonly errors: readonly PolicyFinding[] };

/** Never throws for what is in the directory. */
export async function validatePolicies(dir: string): Promise<Validation> {
  const opened = await openPolicies(dir);
  if ("errors" in opened) return opened;
  const { set, warnings } = opened;
  set.slices.close();
  return { digest: set.digest, policies: set.policies.size, warnings };
}
