/** What a standing approval is for: a Cedar text of its own, which covers an operation when it allows every question of it. */
import { createHash } from "node:crypto";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question } from "#durable/format/question/question.ts";
import type { Cedar } from "./cedar.ts";
import { type Decide, decider } from "./decide.ts";
import { closePolicySet, openPolicySet, type Policy, type PolicySet } from "./set/policy-set.ts";
import type { PolicyFinding } from "./set/source.ts";

const FILE = "scope.cedar";
/** More than can stand at once: those that are over go when room is needed. */
const OPEN_MAX = 128;
/** Each is asked few questions. */
const REMEMBERED = 64;

type Open = { readonly set: PolicySet; readonly decide: Decide };

export class Scopes {
  readonly #cedar: Cedar;
  readonly #open = new Map<string, Open>();

  constructor(cedar: Cedar) {
    this.#cedar = cedar;
  }

  /** Which of the texts cover it, by their places. One that is wrong covers nothing. Throws only when Cedar has stopped. */
  covering(
    scopes: readonly string[],
    principal: Principal,
    questions: readonly Question[],
    facts: Facts,
  ): number[] {
    return scopes.flatMap((scope, at) =>
      this.#opened(scope)?.decide(principal, questions, facts).verdict === "allow" ? [at] : [],
    );
  }

  #opened(scope: string): Open | undefined {
    const known = this.#open.get(scope);
    if (known) {
      this.#open.delete(scope);
      this.#open.set(scope, known);
      return known;
    }
    const opened = openScope(this.#cedar, scope);
    if ("errors" in opened) return undefined;
    const fresh = { set: opened.set, decide: decider(this.#cedar, opened.set, REMEMBERED) };
    this.#open.set(scope, fresh);
    const [oldest] = this.#open.keys();
    if (this.#open.size > OPEN_MAX && oldest !== undefined) {
      const over = this.#open.get(oldest);
      this.#open.delete(oldest);
      if (over) closePolicySet(over.set);
    }
    return fresh;
  }
}

/** What is wrong with a text, by line; empty when it can be granted. Throws only when Cedar has stopped. */
export function scopeErrors(cedar: Cedar, scope: string): readonly PolicyFinding[] {
  const opened = openScope(cedar, scope);
  if ("errors" in opened) return opened.errors;
  closePolicySet(opened.set);
  return [];
}

function openScope(
  cedar: Cedar,
  scope: string,
): { readonly set: PolicySet } | { readonly errors: readonly PolicyFinding[] } {
  const files = [{ name: FILE, bytes: new TextEncoder().encode(scope) }];
  // A set has a name of its own: the text may be a policy file as well.
  const name = `standing-${createHash("sha256").update(scope).digest("hex")}`;
  const opened = openPolicySet(cedar, files, name);
  if ("errors" in opened) return opened;
  const policies = [...opened.set.policies.values()];
  const errors = [...policies.flatMap(unfit), ...nothing(policies)];
  if (errors.length === 0) return opened;
  closePolicySet(opened.set);
  return { errors };
}

function unfit({ line, effect, hold, mask, taint, scope }: Policy): PolicyFinding[] {
  const at = { file: FILE, line };
  if (hold ?? mask ?? taint)
    return [
      { ...at, message: "a scope only says what is covered", hint: "leave @hold, @mask and @taint out" },
    ];
  if (effect === "permit" && (scope.action.op === "All" || isEverything(scope.resource)))
    return [
      {
        ...at,
        message: "a scope that covers every action or every resource is none",
        hint: 'name both: permit(principal, action == Action::"git.push", resource in Repository::"code/app")',
      },
    ];
  return [];
}

const isEverything = (resource: Policy["scope"]["resource"]): boolean =>
  resource.op === "All" || (resource.op === "is" && resource.in === undefined);

const nothing = (policies: readonly Policy[]): PolicyFinding[] =>
  policies.some(({ effect }) => effect === "permit")
    ? []
    : [{ file: FILE, message: "it covers nothing", hint: "write at least one permit" }];
