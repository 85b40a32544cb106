/** Members of a hook's JSON, by schema: what is not there, or of another type, is a refusal that names it. */
import * as v from "valibot";
import { Refusal } from "#durable/format/refusal.ts";
import type { JsonObject } from "#workers/wire/json/strict.ts";

/** Agents leave out what they do not know, or say null. */
export const maybe = <S extends v.GenericSchema>(schema: S) =>
  v.pipe(
    v.nullish(schema),
    v.transform((value) => value ?? undefined),
  );
export const text = v.string();

export function decode<S extends v.GenericSchema>(
  schema: S,
  input: JsonObject,
  event: string,
): v.InferOutput<S> {
  const parsed = v.safeParse(schema, input);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const at = v.getDotPath(issue) ?? "its JSON";
  throw new Refusal(
    "malformed",
    `the hook event ${event.slice(0, 60)} cannot be read: ${at}: ${issue.message}`,
  );
}

/** Bytes of a text in UTF-8. */
export const bytesOf = (value: string): number => new TextEncoder().encode(value).byteLength;

/** Of those that are there. */
export function sizesOf(texts: Readonly<Record<string, string | undefined>>): Record<string, number> {
  const known = Object.entries(texts).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(known.map(([name, value]) => [name, bytesOf(value)]));
}

const WORD_MAX = 200;

/** The members of a frame that are there, cut to a word's length. */
export function wordsOf<K extends string>(
  words: Readonly<Record<K, string | undefined>>,
): { readonly [N in K]?: string } {
  const known = Object.entries<string | undefined>(words).filter(
    ([, value]) => value !== undefined && value !== "",
  );
  return Object.fromEntries(known.map(([name, value]) => [name, value?.slice(0, WORD_MAX)])) as {
    readonly [N in K]?: string;
  };
}
