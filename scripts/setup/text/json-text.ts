/** Additions to a JSON text that people keep by hand: nothing of theirs is moved, neither their comments nor their spaces. */
import { findNodeAtLocation, type Node, type ParseError, parseTree } from "jsonc-parser";
import type { Draft } from "./draft.ts";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** A member of the object at `at`, or, without `key`, what is to be the first element of the array at `at`. */
export type Addition = { readonly at: readonly string[]; readonly key?: string; readonly value: Json };

/** An object at the root, or what is wrong with the text. Comments and commas at the end are taken, as Cursor does. */
export function readObject(text: string): Node | string {
  const errors: ParseError[] = [];
  const root = parseTree(plain(text), errors, { allowTrailingComma: true });
  const [error] = errors;
  if (error) return `is not JSON: line ${lineOf(text, error.offset)}`;
  if (root?.type !== "object") return "holds no JSON object";
  return repeated(root) ?? root;
}

export const nodeAt = (root: Node, path: readonly (string | number)[]): Node | undefined =>
  findNodeAtLocation(root, [...path]);

/**
 * Puts it in, with the objects and the array that lead to it where they are missing. The text must be an object; says what is
 * in the way, and then changed nothing that counts. Returns the paths of what it had to make.
 */
export function add(draft: Draft, { at, key, value }: Addition): readonly (readonly string[])[] | string {
  const made: (readonly string[])[] = [];
  for (let depth = 1; depth <= at.length; depth++) {
    const path = at.slice(0, depth);
    const wanted = depth === at.length && key === undefined ? "array" : "object";
    const root = readObject(draft.text);
    if (typeof root === "string") return root;
    const found = nodeAt(root, path);
    if (found && found.type !== wanted) return `${path.join(".")} is no ${wanted}`;
    if (found) continue;
    const parent = nodeAt(root, path.slice(0, -1));
    if (!parent) return `${path.slice(0, -1).join(".")} is not there`;
    addMember(draft, parent, path.at(-1) ?? "", wanted === "array" ? [] : {});
    made.push(path);
  }
  const root = readObject(draft.text);
  if (typeof root === "string") return root;
  const into = nodeAt(root, at);
  if (!into) return `${at.join(".")} is not there`;
  if (key === undefined) addFirst(draft, into, value);
  else addMember(draft, into, key, value);
  return made;
}

/**
 * The text without that member or element, whatever else was changed in it; undefined when it has none. One comma goes with it
 * and the space before it; what people wrote around it, comments above all, stays: jsonc-parser's own removal takes them along.
 */
export function remove(text: string, root: Node, path: readonly (string | number)[]): string | undefined {
  const value = nodeAt(root, path);
  const container = nodeAt(root, path.slice(0, -1));
  const children = container?.children ?? [];
  const own = children.find((child) => child === value || child === value?.parent);
  if (!(container && own)) return undefined;
  const [begin, end] = [own.offset, own.offset + own.length];
  const after = commaIn(text, end, container.offset + container.length - 1);
  const previous = children[children.indexOf(own) - 1];
  const before =
    after === undefined && previous ? commaIn(text, previous.offset + previous.length, begin) : undefined;
  const close = after !== undefined && text.slice(end, after).trim() === "" ? after + 1 : end;
  const rest = text.slice(close);
  const kept = close === end && after !== undefined ? text.slice(end, after) + text.slice(after + 1) : rest;
  const ahead =
    before === undefined ? text.slice(0, begin) : text.slice(0, before) + text.slice(before + 1, begin);
  // A line comment before it must still end where its line did.
  return /^[\t ]*\r?\n/.test(kept) ? ahead.replace(/\s+$/, "") + kept : ahead + kept.replace(/^[\t ]+/, "");
}

/** Where the comma stands that follows in space and comments before `close`. */
function commaIn(text: string, from: number, close: number): number | undefined {
  const token = new RegExp(TRIVIA);
  token.lastIndex = from;
  while (token.lastIndex < close) {
    const at = token.lastIndex;
    const [found] = token.exec(text) ?? [];
    if (found === undefined) return undefined;
    if (found === ",") return at;
  }
  return undefined;
}

function addMember(draft: Draft, object: Node, key: string, value: Json): void {
  const { text } = draft;
  const name = `${JSON.stringify(key)}: `;
  const { inner, eol, unit } = layout(text, object);
  const own = name + written(value, inner, eol, unit);
  const last = object.children?.at(-1);
  if (!last) {
    fill(draft, object, own);
    return;
  }
  const after = last.offset + last.length;
  const rest = trivia(text, after, object.offset + object.length - 1);
  const many = rest.breaks || text.slice(object.offset, last.offset).includes("\n");
  const next = many ? `${eol}${inner}${own}` : ` ${name}${JSON.stringify(value)}`;
  if (rest.end > after) {
    draft.insert(rest.end, next);
    if (!rest.comma) draft.insert(after, ",");
  } else draft.insert(after, `,${next}`);
}

function addFirst(draft: Draft, array: Node, value: Json): void {
  const { text } = draft;
  const [first] = array.children ?? [];
  const { inner, eol, unit } = layout(text, array);
  const own = written(value, inner, eol, unit);
  if (!first) fill(draft, array, own);
  else if (text.slice(array.offset, first.offset).includes("\n"))
    draft.insert(array.offset + 1, `${eol}${inner}${own},`);
  else draft.insert(array.offset + 1, `${JSON.stringify(value)},`);
}

/** The first of an object or array that has nothing but space and comments in it. */
function fill(draft: Draft, { offset, length }: Node, own: string): void {
  const { text } = draft;
  const { inner, outer, eol } = layout(text, { offset, length, type: "object" });
  const close = offset + length - 1;
  const { end } = trivia(text, offset + 1, close);
  const closes = text.slice(end, close).includes("\n") ? "" : `${eol}${outer}`;
  draft.insert(end, `${eol}${inner}${own}${closes}`);
}

/** What may stand between two values: space, a comma, a comment. */
const TRIVIA = /\s+|,|\/\/[^\n\r]*|\/\*[\s\S]*?\*\//y;

/** Up to the last comment or comma before `close`: where that ends, whether there is a comma, and whether a line comment ends it. */
function trivia(text: string, from: number, close: number) {
  const token = new RegExp(TRIVIA);
  token.lastIndex = from;
  let [end, comma, breaks] = [from, false, false];
  while (token.lastIndex < close) {
    const [found] = token.exec(text) ?? [];
    if (found === undefined) break;
    if (found.trim() === "") continue;
    end = token.lastIndex;
    comma ||= found === ",";
    breaks = found.startsWith("//");
  }
  return { end, comma, breaks };
}

/** How the text is laid out around a node: what lines within it begin with, what its own line begins with. */
function layout(text: string, node: Node) {
  const eol = /\r?\n/.exec(text)?.[0] ?? "\n";
  const unit = /^([\t ]+)\S/m.exec(text)?.[1]?.replace(/^ {9,}$/, "  ") ?? "  ";
  const outer = indentAt(text, node.offset);
  const [first] = node.children ?? [];
  const own = first && text.slice(0, first.offset).endsWith(`\n${indentAt(text, first.offset)}`);
  return { eol, unit, outer, inner: own ? indentAt(text, first.offset) : outer + unit };
}

function indentAt(text: string, offset: number): string {
  const begin = text.lastIndexOf("\n", offset - 1) + 1;
  return /^[\t ]*/.exec(text.slice(begin, offset))?.[0] ?? "";
}

const written = (value: Json, indent: string, eol: string, unit: string): string =>
  JSON.stringify(value, null, unit).replaceAll("\n", eol + indent);

/** A byte order mark is white space of the same length. */
const plain = (text: string): string => text.replace(/^\ufeff/, " ");

const lineOf = (text: string, offset: number): number => text.slice(0, offset).split("\n").length;

/** Of two members of one name nobody knows which one counts. */
function repeated(node: Node): string | undefined {
  const names =
    node.type === "object" ? (node.children ?? []).map(({ children }) => children?.[0]?.value) : [];
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) return `has ${JSON.stringify(twice)} twice in one object`;
  return (node.children ?? []).map(repeated).find((problem) => problem !== undefined);
}
