/** Which policies a question can meet at all, by their scopes; and what of the context they read. */
import type { PolicyJson } from "../cedar.ts";

/** An entity as one text that no other has. */
export const keyOf = (type: string, id: string): string => `${type}::${JSON.stringify(id)}`;

/** Of one question: each entity, and whatever it is in. */
export type Around = {
  readonly principal: Place;
  readonly action: Place;
  readonly resource: Place;
};
type Place = {
  readonly type: string;
  /** By `keyOf`. */
  readonly self: string;
  /** With itself, by `keyOf`. */
  readonly within: ReadonlySet<string>;
};

export type Scope = Pick<PolicyJson, "principal" | "action" | "resource">;

type Constraint = PolicyJson["principal"] | PolicyJson["action"] | PolicyJson["resource"];

/**
 * Whether the policy's scope holds, as Cedar would say: policies whose scope does not hold can neither apply nor fail, so
 * they need not be asked.
 */
export const inScope = (policy: Scope, around: Around): boolean => scopeMiss(policy, around) === undefined;

/** What of the scope does not hold. */
export function scopeMiss(policy: Scope, around: Around): keyof Scope | undefined {
  if (!holds(policy.action, around.action)) return "action";
  if (!holds(policy.resource, around.resource)) return "resource";
  return holds(policy.principal, around.principal) ? undefined : "principal";
}

function holds(constraint: Constraint, place: Place): boolean {
  switch (constraint.op) {
    case "All":
      return true;
    case "==":
      return entitiesOf(constraint).some((key) => key === place.self);
    case "in":
      return entitiesOf(constraint).some((key) => place.within.has(key));
    case "is":
      return (
        constraint.entity_type === place.type &&
        (constraint.in === undefined || entitiesOf(constraint.in).some((key) => place.within.has(key)))
      );
  }
}

type Uid = { readonly type: string; readonly id: string };

/** A slot names nothing, and templates are not loaded. */
function entitiesOf(constraint: object): string[] {
  const named = constraint as { entity?: unknown; entities?: readonly unknown[] };
  const uids = named.entities ?? (named.entity === undefined ? [] : [named.entity]);
  return uids.map((uid) => {
    const { type, id } = ((uid as { __entity?: Uid }).__entity ?? uid) as Uid;
    return keyOf(type, id);
  });
}

/** The members of the context that a policy mentions; undefined when it uses the context as a whole. */
export function readsOf({ conditions }: Pick<PolicyJson, "conditions">): ReadonlySet<string> | undefined {
  const reads = new Set<string>();
  return conditions.every(({ body }) => collect(body, reads)) ? reads : undefined;
}

/** False when it met the context as a whole. */
function collect(expression: unknown, reads: Set<string>): boolean {
  if (typeof expression !== "object" || expression === null) return true;
  if (isContext(expression)) return false;
  for (const [name, value] of Object.entries(expression)) {
    const access = value as { left?: unknown; attr?: string | readonly string[] } | null;
    if ((name === "." || name === "has") && isContext(access?.left)) {
      const attr = access?.attr;
      reads.add(typeof attr === "object" ? (attr[0] ?? "") : (attr ?? ""));
    } else if (!collect(value, reads)) return false;
  }
  return true;
}

const isContext = (expression: unknown): boolean =>
  (expression as { Var?: unknown } | null | undefined)?.Var === "context";
