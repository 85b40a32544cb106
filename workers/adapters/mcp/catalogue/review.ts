/** One message of a server, as the agent may see it: without what policy denies, under the names of its connection. */
import type { CatalogueItem } from "#durable/format/catalogue/catalogue.ts";
import type { Definition, Known, PinState } from "#durable/format/catalogue/definition.ts";
import type { McpOperation } from "#durable/format/operation.ts";
import type { Question, Verdict } from "#workers/contract/evaluator.ts";
import { type Edit, edited } from "#workers/wire/json/spans.ts";
import type { Showing } from "../../adapter.ts";
import { questionsOf } from "../questions.ts";
import { waitTool } from "../wait-tool.ts";
import { canonical } from "./definition.ts";
import { listFrames } from "./frames.ts";
import { type Item, type List, listsIn, Unread } from "./list.ts";

/** UTF-16 code units of a tool's definition: the node keeps each. */
const DEFINITION_MAX = 256 * 1024;
/** Policies that are named of one item: all of them at most places. */
const POLICIES_MAX = 16;
const WORD_MAX = 128;

const USES = {
  tools: { kind: "mcp.tools/call", method: "tools/call" },
  prompts: { kind: "mcp.prompts/get", method: "prompts/get" },
  resources: { kind: "mcp.resources/read", method: "resources/read" },
  templates: { kind: "mcp.resources/read", method: "resources/read" },
} as const;

type Looked = Item & {
  readonly definition: Definition;
  readonly question: Question;
  readonly verdict: Verdict["verdict"];
  readonly policies: Verdict["policies"];
};

const isShown = ({ verdict }: Pick<Looked, "verdict">): boolean => verdict !== "deny";

/**
 * The text to show instead, or the same where there is nothing to change. What was sent and what is shown is durable, and
 * the pins know of it, before this returns. Throws `Unread` where that cannot be told.
 */
export async function review(
  text: string,
  operation: Pick<McpOperation, "version">,
  showing: Showing,
): Promise<string> {
  const lists = listsIn(text);
  const edits: Edit[] = [];
  for (const list of lists) {
    const looked = await look(list, operation, showing);
    const shown = looked.filter(isShown);
    const states =
      list.list === "tools" ? await showing.learn(shown.map(({ definition }) => definition)) : [];
    const state = new Map(shown.map(({ name }, i) => [name, states[i]]));
    const as = (name: string) => (list.list === "tools" ? `${showing.connection.prefix ?? ""}${name}` : name);
    const items = looked.map((one, at): CatalogueItem => {
      if (isShown(one)) return { at, ...shownItem(one, as(one.name), state.get(one.name), showing) };
      return { at, ...withheldItem(one, text.slice(one.span.start, one.span.end), showing) };
    });
    await showing.record(listFrames(list.list, items));
    edits.push(...withheld(looked));
    for (const { name, named } of shown)
      if (as(name) !== name) edits.push({ ...named, text: JSON.stringify(as(name)) });
    // Where calls are held, there is a way to wait. It is the last of them, on the last page.
    if (list.list === "tools" && !list.goesOn && looked.some(({ verdict }) => verdict === "hold")) {
      const end = list.span.end - 1;
      const tool = JSON.stringify(waitTool(showing.connection.prefix));
      edits.push({ start: end, end, text: shown.length > 0 ? `,${tool}` : tool });
    }
  }
  return edits.length === 0 ? text : edited(text, edits);
}

type Recorded = Omit<CatalogueItem, "at">;

function shownItem(one: Looked, as: string, state: PinState | undefined, showing: Showing): Recorded {
  return {
    name: one.name,
    ...(as !== one.name && { as }),
    ...digested(one, showing),
    ...((state === "new" || state === "changed") && { pin: state }),
  };
}

function withheldItem(one: Looked, sent: string, showing: Showing): Recorded {
  const { name, policies, definition } = one;
  const said = digested(one, showing);
  const text = said.hidden ? showing.hide(definition.text, "json") : sent;
  return {
    name,
    ...said,
    withheld: policies.slice(0, POLICIES_MAX).map((id) => id.slice(0, WORD_MAX)),
    ...(showing.connection.bodies === "full" && { text }),
  };
}

function digested({ definition: { text, digest } }: Looked, { hide }: Showing) {
  return { digest, ...(hide(text, "json") !== text && { hidden: true as const }) };
}

async function look(
  { list, items }: List,
  { version }: Pick<McpOperation, "version">,
  showing: Showing,
): Promise<readonly Looked[]> {
  if (items.length === 0) return [];
  const known = list === "tools" ? await showing.known(items.map(({ name }) => name)) : [];
  const all = items.map((item, i) => {
    const definition = { tool: item.name, ...canonical(item.value) };
    if (list === "tools" && definition.text.length > DEFINITION_MAX)
      throw new Unread(`the definition of a tool is longer than ${DEFINITION_MAX} letters`);
    const operation = { ...USES[list], name: item.name, ...(version !== undefined && { version }) };
    const pins = knownOf(known[i] ?? undefined, definition);
    const [asked] = questionsOf(operation, showing.connection, {}, 0, pins);
    if (!asked) throw new Error(`nothing is asked about ${list}`);
    // Nothing is sent yet that anything could be found in.
    const question = { ...asked, part: item.name, context: { ...asked.context, inspected: true } };
    return { ...item, definition, question };
  });
  const verdicts = await showing.verdicts(all.map(({ question }) => question));
  return all.map((one, i) => ({ ...one, ...(verdicts[i] ?? { verdict: "deny" as const, policies: [] }) }));
}

/** As it will be known once it is shown. */
function knownOf(known: Known | undefined, listed: Definition): Known {
  if (!known) return { pinned: listed };
  const { pinned } = known;
  return pinned.digest === listed.digest ? known : { pinned, shown: listed };
}

/** A comma goes with each item that is left out, and the last one's stays with what is before it. */
function withheld(items: readonly Looked[]): readonly Edit[] {
  const last = items.findLastIndex(isShown);
  const edits: Edit[] = [];
  for (const [i, item] of items.entries()) {
    const next = items[i + 1];
    if (!isShown(item) && i < last && next)
      edits.push({ start: item.span.start, end: next.span.start, text: "" });
  }
  const [first, end] = [items[last]?.span.end ?? items[0]?.span.start, items.at(-1)?.span.end];
  if (last < items.length - 1 && first !== undefined && end !== undefined)
    edits.push({ start: first, end, text: "" });
  return edits;
}
