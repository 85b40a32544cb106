import fc from "fast-check";
import { expect, test } from "vitest";
import { edited, elementsOf, membersOf, type Span, valueIn } from "#workers/wire/json/spans.ts";

const textOf = (text: string, { start, end }: Span) => text.slice(start, end);

/** A value as JSON with white space where it may be. */
const spaced = fc
  .tuple(fc.jsonValue({ maxDepth: 4 }), fc.array(fc.constantFrom("", " ", "\n", "\t \r\n"), { minLength: 1 }))
  .map(([value, spaces]) => {
    let n = 0;
    const space = () => spaces[n++ % spaces.length] ?? "";
    const write = (one: unknown): string => {
      if (Array.isArray(one))
        return `[${space()}${one.map((each) => `${write(each)}${space()}`).join(`,${space()}`)}]`;
      if (typeof one !== "object" || one === null) return JSON.stringify(one);
      const members = Object.entries(one).map(
        ([name, each]) => `${JSON.stringify(name)}${space()}:${space()}${write(each)}${space()}`,
      );
      return `{${space()}${members.join(`,${space()}`)}}`;
    };
    return `${space()}${write(value)}${space()}`;
  });

/** What the spans of a text lead to, all the way down. */
function read(text: string, span: Span): unknown {
  const elements = elementsOf(text, span);
  if (elements) return elements.map((element) => read(text, element));
  if (text[span.start] !== "{") return JSON.parse(textOf(text, span));
  return Object.fromEntries(membersOf(text, span).map(({ name, value }) => [name, read(text, value)]));
}

test("spans lead to the same values that JSON.parse finds, whatever white space there is", () => {
  fc.assert(
    fc.property(spaced, (text) => {
      expect(read(text, valueIn(text))).toEqual(JSON.parse(text));
    }),
    { numRuns: 300 },
  );
});

test("names are found as often as they stand there, and escaped ones by what they mean", () => {
  const text = String.raw`{"a":1,"\u0061":[2,"]}\\\""],"a":{"b":"{"}}`;
  const members = membersOf(text, valueIn(text));
  expect(members.map(({ name, value }) => [name, textOf(text, value)])).toEqual([
    ["a", "1"],
    ["a", String.raw`[2,"]}\\\""]`],
    ["a", '{"b":"{"}'],
  ]);
  expect(elementsOf(text, valueIn(text))).toBeUndefined();
  expect(membersOf("[1]", valueIn("[1]"))).toEqual([]);
});

test("what is edited is changed, and nothing else", () => {
  const text = '{ "a" : 1 , "b":[ 2 ,3 ]}';
  const [a, b] = membersOf(text, valueIn(text));
  const [two] = b ? (elementsOf(text, b.value) ?? []) : [];
  if (!a || !two) throw new Error("they are there");
  expect(
    edited(text, [
      { ...two, text: '"two"' },
      { ...a.value, text: "null" },
    ]),
  ).toBe('{ "a" : null , "b":[ "two" ,3 ]}');
});

test("a string of many megabytes is one value", () => {
  const text = `{"a":"${"x\\\\".repeat(4_000_000)}","b":1}`;
  expect(membersOf(text, valueIn(text)).map(({ name }) => name)).toEqual(["a", "b"]);
});
