/** A question as people write it, in a test case or a file: short names instead of entities, and only what matters. */
import * as v from "valibot";
import type { Principal } from "#durable/format/principal.ts";
import { ACTIONS, type Action, type ResourceType, WITHIN } from "#durable/format/question/action.ts";
import type { Facts, Question, Resource } from "#durable/format/question/question.ts";
import { nearest } from "#scripts/config/nearest.ts";
import { misfit, type Shapes } from "#workers/policy/question/shape.ts";

const Text = v.string();
const Groups = v.array(Text);

export const Situation = v.strictObject({
  principal: v.optional(
    v.strictObject({
      issuer: v.optional(Text, "https://login.example"),
      subject: v.optional(Text, "somebody"),
      groups: v.optional(Groups, []),
      agent: v.optional(Text),
    }),
    {},
  ),
  action: Text,
  /** One name for each step of the way: `{ connection = "code", repository = "app", ref = "refs/heads/main" }`. */
  resource: v.optional(v.record(Text, Text), {}),
  context: v.optional(v.record(Text, v.union([Text, v.number(), v.boolean(), v.array(Text)])), {}),
  facts: v.optional(
    v.strictObject({
      day: v.optional(v.pipe(Text, v.isoDate("a day such as 2026-11-26")), "2026-01-01"),
      hour: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(23)), 12),
      client: v.optional(Text, "steno"),
      taints: v.optional(Groups, []),
    }),
    {},
  ),
});
export type Situation = v.InferOutput<typeof Situation>;

export type Asked = { readonly principal: Principal; readonly question: Question; readonly facts: Facts };

/** What there is to ask; throws a sentence that says what is wrong with it. */
export function askedOf(situation: Situation, shapes: Shapes): Asked {
  const { facts, context } = situation;
  const { agent, ...who } = situation.principal;
  const action = actionOf(situation.action);
  const weekday = new Date(`${facts.day}T00:00:00Z`).getUTCDay() || 7;
  const { client, taints, day, hour } = facts;
  const resource = resourceOf(ACTIONS[action], situation.resource, kindOf(action));
  const question: Question = {
    part: "",
    action,
    resource,
    context: { ...needed(action, shapes), ...implied(action), ...context },
  };
  const wrong = misfit(shapes, question);
  if (wrong !== undefined) throw new Error(wrong);
  return {
    principal: { ...who, ...(agent !== undefined && { agent }) },
    question,
    facts: { now: { day, hour, weekday }, client, taints },
  };
}

function actionOf(name: string): Action {
  if (Object.hasOwn(ACTIONS, name)) return name as Action;
  const near = nearest(name, Object.keys(ACTIONS));
  throw new Error(`${name} is not an action${near === undefined ? "" : `, did you mean ${near}?`}`);
}

/** The kind of connection an action is of: a hook's actions are all those that are of no other. */
function kindOf(action: Action): string {
  const [kind = ""] = action.split(".");
  const hooks = kind === "mcp" && (action === "mcp.call" || action === "mcp.result");
  return !hooks && ["git", "mcp", "llm", "http"].includes(kind) ? kind : "hooks";
}

/** The attribute that holds a resource's own name. */
const NAMES: Readonly<Record<Exclude<ResourceType, "Connection">, string>> = {
  Repository: "path",
  Ref: "name",
  Path: "name",
  Server: "name",
  Tool: "name",
  Resource: "uri",
  Prompt: "name",
  Model: "name",
  Host: "name",
};

function resourceOf(type: ResourceType, names: Situation["resource"], kind: string): Resource {
  const left = { ...names };
  const take = (key: string): string | undefined => {
    const name = left[key];
    delete left[key];
    return name;
  };
  const step = (of: ResourceType): Resource => {
    const name = take(of.toLowerCase());
    if (of === "Connection") return { type: of, id: name ?? "code", attrs: { kind } };
    if (name === undefined) throw new Error(`the resource of a ${type} needs ${of.toLowerCase()}`);
    // A hook's tool may lie in no server.
    const outer = WITHIN[of].find((one) => one === "Connection" || Object.hasOwn(left, one.toLowerCase()));
    const within = step(outer ?? WITHIN[of][0] ?? "Connection");
    const provider = of === "Model" ? { provider: take("provider") ?? "" } : {};
    return { type: of, id: `${within.id}/${name}`, attrs: { [NAMES[of]]: name, ...provider }, within };
  };
  const resource = step(type);
  const [extra] = Object.keys(left);
  if (extra !== undefined) throw new Error(`a ${type} lies in no ${extra}`);
  return resource;
}

/** Nothing, in each of the ways the schema demands: a case says only what it is about. */
function needed(action: Action, shapes: Shapes): Question["context"] {
  const members = [...(shapes.actions.get(action)?.context ?? [])].filter(([, { required }]) => required);
  const nothing = { String: "", Long: 0, Bool: false, Set: [] } as const;
  return Object.fromEntries(members.map(([name, { kind }]) => [name, nothing[kind]]));
}

/** What a push of one ref always says of itself. */
function implied(action: Action): Question["context"] {
  const changes: Readonly<Partial<Record<Action, string>>> = {
    "git.push": "update",
    "git.create": "create",
    "git.delete": "delete",
    "git.force": "force",
  };
  const change = changes[action];
  return change === undefined ? {} : { change, refs: 1 };
}
