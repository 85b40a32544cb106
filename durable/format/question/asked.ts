/** The questions a decision answers, as its frame records them: what another policy set can be asked later. */
import type { Facts, Question, Resource } from "./question.ts";

export type Asked = {
  /** Of the principal, when it asked: they may differ from those at the session's start. */
  readonly groups: readonly string[];
  readonly facts: Facts;
  /** What the context of every question has in common, and what each resource lies within, where that is one thing. */
  readonly common?: Question["context"];
  readonly within?: Resource;
  readonly questions: readonly Question[];
};

/** How many questions there were, where they would not fit into the frame. */
export type Omitted = { readonly omitted: number };

/** What is asked of policy in one go. */
export type Asking = Pick<Asked, "groups" | "facts" | "questions">;

/** As a frame with room for so many bytes of JSON holds it. */
export function recordable(asking: Asking, room: number): Asked | Omitted {
  const asked = abridge(asking);
  const bytes = new TextEncoder().encode(JSON.stringify(asked)).byteLength;
  return bytes <= room ? asked : { omitted: asking.questions.length };
}

/** Each thing once. `restore` gives back what was asked. */
export function abridge({ groups, facts, questions }: Asking): Asked {
  const [first, ...others] = questions;
  if (!first || others.length === 0) return { groups, facts, questions };
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const { within } = first.resource;
  const shared = within !== undefined && others.every(({ resource }) => same(resource.within, within));
  const names = Object.keys(first.context).filter((name) =>
    others.every(({ context }) => same(context[name], first.context[name])),
  );
  const common = Object.fromEntries(names.map((name) => [name, first.context[name] ?? ""]));
  const short = questions.map(({ part, action, resource, context }): Question => {
    const { within: _, ...bare } = resource;
    const own = Object.entries(context).filter(([name]) => !Object.hasOwn(common, name));
    return { part, action, resource: shared ? bare : resource, context: Object.fromEntries(own) };
  });
  return { groups, facts, common, ...(shared && { within }), questions: short };
}

export function restore({ groups, facts, common, within, questions }: Asked): Asking {
  return {
    groups,
    facts,
    questions: questions.map((question) => ({
      ...question,
      resource: { ...question.resource, ...(within && { within }) },
      context: { ...common, ...question.context },
    })),
  };
}
