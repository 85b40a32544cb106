/** Asks Cedar one question of the policies it can meet, and of the world only what they read. */
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question } from "#durable/format/question/question.ts";
import type { Answer, Call, Cedar, EntityJson } from "../cedar.ts";
import type { Policy, PolicySet } from "../set/policy-set.ts";
import { type Around, keyOf } from "../set/scope.ts";
import { contextOf } from "./context.ts";
import { resourceEntities, resourceUid, userEntity } from "./entities.ts";
import { misfit } from "./shape.ts";

export type Asked = {
  readonly principal: Principal;
  readonly question: Question;
  readonly facts: Facts;
  /** Without the forbids that approval lifts. */
  readonly lifted: boolean;
};

export type Told =
  | { readonly cannot: string }
  | {
      readonly decision: "allow" | "deny";
      /** The policies that determined it: of a deny the forbids, of an allow the permits. */
      readonly applied: readonly Policy[];
      readonly failed: readonly Policy[];
      readonly failures: readonly string[];
    };

const NOTHING: Told = { decision: "deny", applied: [], failed: [], failures: [] };

/** Throws only when Cedar has stopped. */
export function ask(cedar: Pick<Cedar, "statefulIsAuthorized">, set: PolicySet, asked: Asked): Told {
  const wrong = misfit(set.shapes, asked.question);
  if (wrong !== undefined) return { cannot: wrong };
  let entities: EntitiesOfQuestion;
  try {
    entities = entitiesOf(set, asked);
  } catch (cause) {
    return { cannot: cause instanceof Error ? cause.message : String(cause) };
  }
  const slice = set.slices.of(around(entities), asked.lifted);
  if (!slice) return { cannot: "the policy set is closed" };
  const { name, reads = namesOf(set, asked) } = slice;
  if (name === undefined) return NOTHING;
  const told = call(asked, entities, reads);
  const answer = remembered(slice.answers, told, () =>
    cedar.statefulIsAuthorized({ ...told, preparsedPolicySetId: name }),
  );
  if (answer.type === "failure") return { cannot: answer.errors.map(({ message }) => message).join("; ") };
  const { decision, diagnostics } = answer.response;
  const policiesOf = (ids: readonly string[]) => ids.flatMap((id) => set.policies.get(id) ?? []);
  return {
    decision,
    applied: policiesOf(diagnostics.reason),
    failed: policiesOf(diagnostics.errors.map(({ policyId }) => policyId)),
    failures: diagnostics.errors.map(({ policyId, error }) => `policy ${policyId} failed: ${error.message}`),
  };
}

/** Answers remembered for each slice, and the longest question worth remembering, in UTF-16 units. */
const REMEMBERED = 512;
const KEY_MAX = 4_096;

/** The same question has the same answer for as long as the policies are the same. */
function remembered(answers: Map<string, Answer>, told: Call, answer: () => Answer): Answer {
  const key = JSON.stringify(told);
  const known = answers.get(key);
  if (known) answers.delete(key);
  const made = known ?? answer();
  if (key.length <= KEY_MAX && made.type === "success") answers.set(key, made);
  if (answers.size > REMEMBERED) answers.delete(answers.keys().next().value as string);
  return made;
}

type World = Omit<Asked, "lifted">;

/** The question with all that can be told of it, for any policy; which set answers is still to be named. */
export const callOf = (set: PolicySet, asked: World): Call =>
  call(asked, entitiesOf(set, asked), namesOf(set, asked));

export const aroundOf = (set: PolicySet, asked: World): Around => around(entitiesOf(set, asked));

function call({ question, facts }: World, entities: EntitiesOfQuestion, reads: Iterable<string>): Call {
  return {
    principal: entities.user.uid,
    action: entities.action.uid,
    resource: resourceUid(question.resource),
    context: contextOf(question, facts, reads),
    entities: [entities.user, entities.action, ...entities.resource],
  };
}

type EntitiesOfQuestion = {
  readonly user: EntityJson;
  readonly action: EntityJson;
  /** From the resource outward. */
  readonly resource: readonly EntityJson[];
};

function entitiesOf(set: PolicySet, { principal, question }: World): EntitiesOfQuestion {
  const above = set.shapes.actions.get(question.action)?.above ?? [];
  const action: EntityJson = {
    uid: { type: "Action", id: question.action },
    attrs: {},
    parents: above.map((id) => ({ type: "Action", id })),
  };
  return { user: userEntity(principal), action, resource: resourceEntities(question.resource) };
}

/** Every member a question of its kind can have, for policies that use the context as a whole. */
const namesOf = (set: PolicySet, { question }: World): Iterable<string> => [
  ...(set.shapes.actions.get(question.action)?.context.keys() ?? []),
  ...["now", "client", "taints", "touches", "tops"],
];

function around({ user, action, resource }: EntitiesOfQuestion): Around {
  return { principal: placeOf([user]), action: placeOf([action]), resource: placeOf(resource) };
}

/** `chain` begins with the entity itself; each of the others is one it is in. */
function placeOf(chain: readonly EntityJson[]): Around["principal"] {
  const keys = chain
    .flatMap(({ uid, parents }) => [uid, ...parents])
    .map((uid) => {
      const { type, id } = "__entity" in uid ? uid.__entity : uid;
      return { type, key: keyOf(type, id) };
    });
  return { type: keys[0]?.type ?? "", self: keys[0]?.key ?? "", within: new Set(keys.map(({ key }) => key)) };
}
