/** Lists of tools, prompts and resources in what a server says, wherever they stand: an answer may come by any stream. */
import type { ListKind } from "#durable/format/catalogue/catalogue.ts";
import { elementsOf, type Member, membersOf, type Span, valueIn } from "#workers/wire/json/spans.ts";
import { isObject, type Json, type JsonObject, parseJson, textOf } from "#workers/wire/json/strict.ts";

export type Item = {
  /** What its server calls it: a name, a URI, a template. */
  readonly name: string;
  readonly value: JsonObject;
  readonly span: Span;
  /** Of what it is called by. */
  readonly named: Span;
};
export type List = {
  readonly list: ListKind;
  /** Of the brackets and all between them. */
  readonly span: Span;
  readonly items: readonly Item[];
  /** Another page of it follows. */
  readonly goesOn: boolean;
};

/** Why a message cannot be passed: it may hold a list, and nobody can say which. */
export class Unread extends Error {
  override readonly name = "Unread";
  /** It is no JSON at all, and so no message to anybody. */
  readonly noJson: boolean;

  constructor(message: string, options: { readonly cause?: unknown; readonly noJson?: true } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : {});
    this.noJson = options.noJson ?? false;
  }
}

const NAME_MAX = 1_024;
/** Items of one answer. */
const ITEMS_MAX = 5_000;

const LISTS: Readonly<Record<string, { readonly list: ListKind; readonly by: string }>> = {
  tools: { list: "tools", by: "name" },
  prompts: { list: "prompts", by: "name" },
  resources: { list: "resources", by: "uri" },
  resourceTemplates: { list: "templates", by: "uriTemplate" },
};

/** Those of a message, or of each of a batch. Throws `Unread` for what is no JSON, and for a list that means two things. */
export function listsIn(text: string): readonly List[] {
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch (cause) {
    throw new Unread("it is not JSON", { cause, noJson: true });
  }
  const whole = valueIn(text);
  const batch = elementsOf(text, whole);
  const messages = batch ?? [whole];
  const found = messages.flatMap((message) =>
    like(membersOf(text, message), "result").flatMap(({ value }) => {
      const members = membersOf(text, value);
      const goesOn = like(members, "nextCursor").length > 0;
      return members
        .filter((member) => namesList(member.name) && text[member.value.start] === "[")
        .map((member) => ({ ...member, goesOn }));
    }),
  );
  if (found.length === 0) return [];
  checkOnce(text);
  const values: readonly Json[] = batch ? (json as readonly Json[]) : [json];
  const lists = values.flatMap((value) => valuesOf(value));
  // By their order: the names of one message stand once, so each has its value.
  if (lists.length !== found.length) throw new Unread("a list has another name than it should");
  const all = found.map(({ name, value, goesOn }, i) => ({
    ...listOf(text, name, value, lists[i] ?? []),
    goesOn,
  }));
  if (all.reduce((sum, { items }) => sum + items.length, 0) > ITEMS_MAX)
    throw new Unread(`it lists more than ${ITEMS_MAX} items: let the server list them in pages`);
  return all;
}

/** Readers that do not tell upper from lower case would find it as well. */
const like = (members: readonly Member[], wanted: string): readonly Member[] =>
  members.filter(({ name }) => name.toLowerCase() === wanted.toLowerCase());

const namesList = (name: string): boolean =>
  Object.keys(LISTS).some((known) => known.toLowerCase() === name.toLowerCase());

function valuesOf(message: Json): readonly (readonly Json[])[] {
  const result = isObject(message) ? message["result"] : undefined;
  if (!isObject(result)) return [];
  return Object.entries(result).flatMap(([name, value]) =>
    Object.hasOwn(LISTS, name) && Array.isArray(value) ? [value as readonly Json[]] : [],
  );
}

function checkOnce(text: string): void {
  try {
    parseJson(new TextEncoder().encode(text), "the list");
  } catch (cause) {
    throw new Unread(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function listOf(text: string, name: string, span: Span, values: readonly Json[]): Omit<List, "goesOn"> {
  const known = LISTS[name];
  if (!known) throw new Unread(`"${name}" is not how a list is named`);
  const { list, by } = known;
  const items = (elementsOf(text, span) ?? []).map((element, at) =>
    itemOf(text, element, values[at] ?? null, by),
  );
  const names = new Set(items.map((item) => item.name));
  if (list === "tools" && names.size !== items.length) throw new Unread("it lists a tool twice");
  return { list, span, items };
}

function itemOf(text: string, span: Span, value: Json, by: string): Item {
  const name = isObject(value) ? textOf(value[by]) : undefined;
  const named = membersOf(text, span).find((member) => member.name === by)?.value;
  if (!isObject(value) || !named || name === undefined || name === "" || name.length > NAME_MAX)
    throw new Unread(`an item of it has no ${by} of 1 to 1,024 letters`);
  return { name, value, span, named };
}
