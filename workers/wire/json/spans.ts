/** Where the parts of a JSON text stand in it, so that one can be changed and all else stays as it is. */

/** UTF-16 code units, from `start` up to and without `end`. */
export type Span = { readonly start: number; readonly end: number };
export type Member = { readonly name: string; readonly value: Span };

const SPACE = /\s*/y;
const SCALAR = /[^\s{}[\],:"]+/y;

/** The value that a text holds. `text` is valid JSON, here and below. */
export const valueIn = (text: string): Span => spanAt(text, skip(text, 0));

/** Members of the object that begins at `start`, each as often as it stands there. Empty for what is no object. */
export function membersOf(text: string, { start }: Span): readonly Member[] {
  if (text[start] !== "{") return [];
  const members: Member[] = [];
  let at = skip(text, start + 1);
  while (text[at] !== "}") {
    const name = spanAt(text, at);
    // The colon, and what is around it.
    const value = spanAt(text, skip(text, skip(text, name.end) + 1));
    members.push({ name: JSON.parse(text.slice(name.start, name.end)) as string, value });
    at = afterComma(text, value.end);
  }
  return members;
}

/** Elements of the list that begins at `start`; undefined for what is no list. */
export function elementsOf(text: string, { start }: Span): readonly Span[] | undefined {
  if (text[start] !== "[") return undefined;
  const elements: Span[] = [];
  let at = skip(text, start + 1);
  while (text[at] !== "]") {
    const element = spanAt(text, at);
    elements.push(element);
    at = afterComma(text, element.end);
  }
  return elements;
}

export type Edit = Span & { readonly text: string };

/** The text with each span replaced by its text. The spans do not overlap. */
export function edited(text: string, edits: readonly Edit[]): string {
  let at = 0;
  const parts: string[] = [];
  for (const { start, end, text: next } of edits.toSorted((a, b) => a.start - b.start)) {
    parts.push(text.slice(at, start), next);
    at = end;
  }
  return [...parts, text.slice(at)].join("");
}

function spanAt(text: string, start: number): Span {
  let depth = 0;
  let at = start;
  do {
    const letter = text[at];
    if (letter === "{" || letter === "[") depth += 1;
    else if (letter === "}" || letter === "]") depth -= 1;
    at =
      letter === '"'
        ? endOfString(text, at)
        : "{}[],:".includes(letter ?? "")
          ? at + 1
          : endOfScalar(text, at);
    if (depth > 0) at = skip(text, at);
  } while (depth > 0);
  return { start, end: at };
}

/** Behind the string that begins at `start`. A regular expression would keep a way back for each letter of a long one. */
export function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let before = quote;
    while (text[before - 1] === "\\") before -= 1;
    if ((quote - before) % 2 === 0) return quote + 1;
  }
  throw new Error("the text is not JSON");
}

function endOfScalar(text: string, start: number): number {
  SCALAR.lastIndex = start;
  if (!SCALAR.test(text)) throw new Error("the text is not JSON");
  return SCALAR.lastIndex;
}

function afterComma(text: string, end: number): number {
  const at = skip(text, end);
  return text[at] === "," ? skip(text, at + 1) : at;
}

function skip(text: string, from: number): number {
  SPACE.lastIndex = from;
  SPACE.exec(text);
  return SPACE.lastIndex;
}
