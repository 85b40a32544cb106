/** What the schema demands of a question, checked here, since Cedar is handed only the part that policies read. */
import { PATHS_MAX, type Question, type Resource } from "#durable/format/question/question.ts";
import type { Cedar } from "../cedar.ts";
import { SCHEMA } from "../schema.ts";

type Kind = "String" | "Long" | "Bool" | "Set";
type Members = ReadonlyMap<string, { readonly kind: Kind; readonly required: boolean }>;

export type Shapes = {
  readonly actions: ReadonlyMap<
    string,
    {
      readonly resource: string;
      readonly context: Members;
      /** The groups the action is in, and the groups those are in. */
      readonly above: readonly string[];
    }
  >;
  readonly resources: ReadonlyMap<string, Members>;
};

/** What is filled in for every question: an adapter need not say the first ones, and cannot say the others. */
const UNSET = { findings: [], severity: 0, inspected: false, paths: [] } as const;
const DERIVED = ["now", "client", "taints", "touches", "tops"];

let known: Shapes | undefined;

/** Of this project's own schema, which is read once; throws when that does not parse. */
export function readShapes(cedar: Pick<Cedar, "schemaToJsonWithResolvedTypes">): Shapes {
  known ??= shapesBy(cedar);
  return known;
}

function shapesBy(cedar: Pick<Cedar, "schemaToJsonWithResolvedTypes">): Shapes {
  const answer = cedar.schemaToJsonWithResolvedTypes(SCHEMA);
  if (answer.type === "failure") throw new Error(`the schema does not parse: ${answer.errors[0]?.message}`);
  const { actions = {}, entityTypes = {} } = answer.json[""] ?? {};
  const parents = (name: string): string[] =>
    (actions[name]?.memberOf ?? []).flatMap(({ id }) => [id, ...parents(id)]);
  const asked = Object.entries(actions).flatMap(([name, { appliesTo }]) => {
    const [resource] = appliesTo?.resourceTypes ?? [];
    if (resource === undefined) return [];
    const context = membersOf(appliesTo?.context);
    for (const derived of DERIVED) context.delete(derived);
    return [[name, { resource, context, above: [...new Set(parents(name))] }] as const];
  });
  const resources = Object.entries(entityTypes).map(
    ([name, type]) => [name, membersOf("shape" in type ? type.shape : undefined)] as const,
  );
  return { actions: new Map(asked), resources: new Map(resources) };
}

function membersOf(record: unknown): Map<string, { kind: Kind; required: boolean }> {
  const { attributes = {} } = (record ?? {}) as {
    attributes?: Record<string, { type: Kind; required?: boolean }>;
  };
  return new Map(
    Object.entries(attributes).map(([name, { type, required }]) => [
      name,
      { kind: type, required: required !== false && !Object.hasOwn(UNSET, name) },
    ]),
  );
}

/** Why the question is not one that the schema knows; undefined when it is. */
export function misfit(shapes: Shapes, { action, resource, context }: Question): string | undefined {
  const shape = shapes.actions.get(action);
  if (!shape) return `${action} is not an action`;
  if (resource.type !== shape.resource)
    return `${action} is about a ${shape.resource}, not a ${resource.type}`;
  const paths = context["paths"];
  if (typeof paths === "object" && paths.length > PATHS_MAX)
    return `it touches ${paths.length} paths (at most ${PATHS_MAX})`;
  return wrong(shape.context, context, `the context of ${action}`) ?? misshapen(shapes, resource);
}

function misshapen(shapes: Shapes, { type, attrs, within }: Resource): string | undefined {
  const members = shapes.resources.get(type);
  if (!members) return `${type} is not a type of resource`;
  return wrong(members, attrs, `a ${type}`) ?? (within && misshapen(shapes, within));
}

function wrong(members: Members, given: Question["context"], where: string): string | undefined {
  for (const [name, value] of Object.entries(given)) {
    const member = members.get(name);
    if (!member) return `${where} has no ${name}`;
    if (!isOf(member.kind, value)) return `${name} in ${where} is not a ${member.kind}`;
  }
  for (const [name, { required }] of members)
    if (required && !Object.hasOwn(given, name)) return `${where} lacks ${name}`;
  return undefined;
}

function isOf(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case "String":
      return typeof value === "string";
    case "Long":
      return Number.isSafeInteger(value);
    case "Bool":
      return typeof value === "boolean";
    case "Set":
      return Array.isArray(value) && value.every((one) => typeof one === "string");
  }
}

export const unset = (name: string): (typeof UNSET)[keyof typeof UNSET] | undefined =>
  Object.hasOwn(UNSET, name) ? UNSET[name as keyof typeof UNSET] : undefined;
