/** `steno.json` beside what was written: what was put where, so that exactly that can be taken out again. */
import { createHash } from "node:crypto";
import { isAbsolute, join, relative } from "node:path";
import { getNodeValue } from "jsonc-parser";
import * as v from "valibot";
import { without } from "./text/draft.ts";
import { type Json, nodeAt, readObject, remove } from "./text/json-text.ts";

const path = v.array(v.string());
const Piece = v.strictObject({ at: v.pipe(v.number(), v.safeInteger(), v.minValue(0)), text: v.string() });
const Place = v.strictObject({
  at: path,
  key: v.optional(v.string()),
  /** Of an element: an object's `command`, or the text itself. */
  element: v.optional(v.string()),
});
const Digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
/** `sha256` is of the file as it was left: while it is so, `inserted` is all there is to take out. `base`: as it was before. */
const Written = v.strictObject({
  path: v.string(),
  kind: v.picklist(["json", "lines", "own"]),
  created: v.boolean(),
  sha256: Digest,
  base: Digest,
  inserted: v.array(Piece),
  places: v.array(Place),
  made: v.array(path),
});
const SetupRecord = v.strictObject({
  version: v.literal(1),
  gateway: v.string(),
  directories: v.array(v.string()),
  files: v.array(Written),
});

/** `path` is relative to the directory that was set up, where it lies below that. */
export type Written = v.InferOutput<typeof Written>;
export type SetupRecord = v.InferOutput<typeof SetupRecord>;

/** How a file is held: JSON of many owners, lines of many owners, or a file of ours alone. */
export type Kind = Written["kind"];

/** What is left of a file without us; undefined when it was not there before us. Or why nobody can say. */
export type Left = { readonly text: string | undefined } | { readonly no: string };

export const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Throws when it is not what this program writes. */
export function parseRecord(text: string | undefined, at: string): SetupRecord | undefined {
  if (text === undefined) return undefined;
  try {
    return v.parse(SetupRecord, JSON.parse(text));
  } catch (cause) {
    throw new Error(`${at} cannot be read: it says what setup wrote, so nothing is changed without it`, {
      cause,
    });
  }
}

/** A path as the record has it, and back. `root` is the directory that was set up. */
export function named(root: string, path: string): string {
  const below = relative(root, path);
  return below.startsWith("..") || isAbsolute(below) ? path : below.replaceAll("\\", "/");
}
export const placed = (root: string, name: string): string => (isAbsolute(name) ? name : join(root, name));

export const recordText = (record: SetupRecord): string => `${JSON.stringify(record, null, 2)}\n`;

/**
 * The file without what was put in. There may be two accounts of a file, when a setup was interrupted: the one that fits
 * counts, and of a file that was changed since, what either names.
 */
export function leftOf(current: string | undefined, accounts: readonly Written[], kind: Kind): Left {
  if (current === undefined || accounts.length === 0) return { text: current };
  const sha256 = digestOf(current);
  const fits = accounts.find((account) => account.sha256 === sha256);
  if (fits) {
    const text = without(current, fits.inserted);
    if (text === undefined) return { no: "is not what steno.json says was put into it" };
    return { text: fits.created && text === "" ? undefined : text };
  }
  // It was put back already, or nothing had been put in yet.
  if (accounts.some(({ base }) => base === sha256)) return { text: current };
  switch (kind) {
    case "json":
      return leftOfJson(current, accounts);
    case "lines":
      return leftOfLines(current, accounts);
    case "own":
      return { no: "was changed since setup wrote it: move it away, or put back what was there" };
  }
}

function leftOfJson(current: string, accounts: readonly Written[]): Left {
  let text = current;
  const take = (where: (string | number)[]): void => {
    const root = readObject(text);
    if (typeof root !== "string") text = remove(text, root, where) ?? text;
  };
  for (const { places } of accounts) {
    for (const { at, key, element } of places) {
      const root = readObject(text);
      if (typeof root === "string") return { no: root };
      const list = nodeAt(root, at);
      if (key !== undefined) take([...at, key]);
      else if (list?.type === "array") {
        const found = (getNodeValue(list) as Json[]).findIndex((each) => elementName(each) === element);
        if (found >= 0) take([...at, found]);
      }
    }
  }
  for (const { made } of accounts)
    for (const where of made.toReversed()) {
      const root = readObject(text);
      if (typeof root === "string") return { no: root };
      if (nodeAt(root, where)?.children?.length === 0) take(where);
    }
  const bare = /^\s*\{\s*\}\s*$/.test(text);
  return { text: bare && accounts.some(({ created }) => created) ? undefined : text };
}

function leftOfLines(current: string, accounts: readonly Written[]): Left {
  let text = current;
  for (const { inserted } of accounts)
    for (const { text: own } of inserted) {
      const lines = own.replace(/^\n/, "");
      const [before, after, more] = text.split(lines);
      if (before === undefined || after === undefined) continue;
      if (more !== undefined) return { no: "has what setup wrote more than once: take one away" };
      text = before + after;
    }
  return { text: text === "" && accounts.some(({ created }) => created) ? undefined : text };
}

/** What an element of a list is known by. */
export const elementName = (value: Json): string | undefined => {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || !("command" in value)) return undefined;
  return typeof value["command"] === "string" ? value["command"] : undefined;
};
