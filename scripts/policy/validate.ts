/** Checks a policy directory as the evaluator would at load, for `steno check`. */
import { nearest } from "#scripts/config/nearest.ts";
import type { Policy } from "#workers/policy/set/policy-set.ts";
import type { PolicyFinding } from "#workers/policy/set/source.ts";
import { openPolicies } from "./open.ts";

export type Validation =
  | { readonly digest: string; readonly policies: number; readonly warnings: readonly PolicyFinding[] }
  | { readonly errors: readonly PolicyFinding[] };

/**
 * Never throws for what is in the directory. `detectors` are those of the configuration: what `@mask` names besides would
 * refuse whatever the policy applies to.
 */
export async function validatePolicies(dir: string, detectors?: readonly string[]): Promise<Validation> {
  const opened = await openPolicies(dir);
  if ("errors" in opened) return opened;
  const { set, warnings } = opened;
  set.slices.close();
  const errors = detectors ? [...set.policies.values()].flatMap((one) => unknown(one, detectors)) : [];
  if (errors.length > 0) return { errors };
  return { digest: set.digest, policies: set.policies.size, warnings };
}

function unknown({ file, line, mask = [] }: Policy, detectors: readonly string[]): readonly PolicyFinding[] {
  return mask
    .filter((name) => name !== "*" && !detectors.includes(name))
    .map((name) => {
      const near = nearest(name, detectors);
      const hint = near === undefined ? "name it in [mask], or one that is there" : `did you mean "${near}"?`;
      return { file, line, message: `unknown detector "${name}"`, hint };
    });
}
