/** JSON that means one thing: whoever reads it, the gateway and the upstream see the same members. */
import { Refusal } from "#durable/format/refusal.ts";
import { endOfString, type Span } from "./spans.ts";

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export type JsonObject = { readonly [name: string]: Json };

/** How deep it may nest: some parsers of upstreams give up sooner, none should need more. */
const DEPTH_MAX = 128;

const MARK = /["{}[\],:]/g;

/**
 * The value of a body of UTF-8 JSON. Throws `Refusal("malformed")` when it is not one, when an object has a name twice
 * (RFC 8259 §4: parsers differ in which one they take), or when it nests too deep. `what` is the subject of the sentence.
 */
export function parseJson(bytes: Uint8Array, what: string): Json {
  let text: string;
  let value: Json;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text) as Json;
  } catch (cause) {
    throw notJson(what, cause);
  }
  checkNames(text, what);
  return value;
}

const notJson = (what: string, cause: unknown): Refusal =>
  new Refusal("malformed", `${what} is not JSON in UTF-8`, { cause });

/** `text` is valid JSON. A string directly before a colon is a name: no other string is. */
function checkNames(text: string, what: string): void {
  const open: (Set<string> | undefined)[] = [];
  let last: Span | undefined;
  MARK.lastIndex = 0;
  for (let mark = MARK.exec(text); mark; mark = MARK.exec(text)) {
    const { index } = mark;
    const [token] = mark;
    if (token === '"') {
      last = { start: index, end: endOfString(text, index) };
      MARK.lastIndex = last.end;
    } else if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : undefined);
      if (open.length > DEPTH_MAX) throw new Refusal("malformed", `${what} nests deeper than ${DEPTH_MAX}`);
    } else if (token === "}" || token === "]") open.pop();
    else if (token === ":" && last) {
      const names = open.at(-1);
      const name = JSON.parse(text.slice(last.start, last.end)) as string;
      if (names?.has(name))
        throw new Refusal("malformed", `${what} has "${name.slice(0, 60)}" twice in one object`);
      names?.add(name);
    }
  }
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
export const objectsOf = (value: Json | undefined): readonly JsonObject[] => listOf(value).filter(isObject);
export const textOf = (value: Json | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;
export const countOf = (value: Json | undefined): number | undefined =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
