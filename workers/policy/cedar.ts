/** Cedar as the rest of this folder sees it: a handful of functions of either build of `@cedar-policy/cedar-wasm`. */
import type * as wasm from "@cedar-policy/cedar-wasm/nodejs";

export type {
  Context,
  DetailedError,
  EntityJson,
  EntityUidJson,
  PolicyJson,
} from "@cedar-policy/cedar-wasm/nodejs";

/** A question as Cedar takes it, without the name of the set that answers. */
export type Call = Omit<wasm.StatefulAuthorizationCall, "preparsedPolicySetId">;

export type Answer = wasm.AuthorizationAnswer;

export type Cedar = Pick<
  typeof wasm,
  "policyToJson" | "schemaToJsonWithResolvedTypes" | "validate" | "preparsePolicySet" | "statefulIsAuthorized"
>;

/**
 * Cedar that stays down once it has trapped. A trap (stack or memory exhausted) leaves the WebAssembly instance
 * broken for good, so after one every call throws: no answer is ever taken from a broken evaluator.
 */
export function guarded(cedar: Cedar): Cedar {
  let trap: unknown;
  const guard =
    <A extends unknown[], R>(call: (...args: A) => R) =>
    (...args: A): R => {
      if (trap !== undefined) throw new Error("the policy engine has stopped; restart it", { cause: trap });
      try {
        return call(...args);
      } catch (cause) {
        trap = cause;
        throw new Error("the policy engine has stopped; restart it", { cause });
      }
    };
  return {
    policyToJson: guard(cedar.policyToJson),
    validate: guard(cedar.validate),
    schemaToJsonWithResolvedTypes: guard(cedar.schemaToJsonWithResolvedTypes),
    preparsePolicySet: guard(cedar.preparsePolicySet),
    statefulIsAuthorized: guard(cedar.statefulIsAuthorized),
  };
}
