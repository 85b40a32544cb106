import { describe, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { parseJson } from "#workers/wire/json/strict.ts";

const read = (text: string) => parseJson(new TextEncoder().encode(text), "the message");
const no = (text: string): string => {
  try {
    read(text);
  } catch (thrown) {
    if (thrown instanceof Refusal) return `${thrown.code}: ${thrown.message}`;
    throw thrown;
  }
  throw new Error("it was read");
};

describe("JSON that means one thing", () => {
  test("is read, with the same name in several objects, and names as values", () => {
    const text = '{"a":{"a":"a"},"b":[{"a":1},{"a":":"}],"c":"{\\"a\\":1,\\"a\\":2}"}';
    expect(read(text)).toEqual(JSON.parse(text));
  });

  test.each([
    ['{"a":1,"a":2}', /"a" twice/],
    ['{"a":1,"\\u0061":2}', /"a" twice/],
    ['[{"x":{"b":1,"c":[],"b":2}}]', /"b" twice/],
    [`${"[".repeat(129)}${"]".repeat(129)}`, /deeper than 128/],
    ['{"a":1', /not JSON/],
    ['\ufeff{"a":1}', /not JSON/],
  ])("is not %s", (text, said) => expect(no(text)).toMatch(said));

  test("is also a text of many megabytes, of whatever letters", () => {
    for (const piece of ["x", '\\"', "\\\\", "\\u0041"]) {
      const text = `{"a":"${piece.repeat(Math.floor(15_000_000 / piece.length))}","b":1}`;
      expect(Object.keys(read(text) as object)).toEqual(["a", "b"]);
      expect(no(text.replace('"b"', '"a"'))).toMatch(/"a" twice/);
    }
  });
});
