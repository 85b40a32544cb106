// Files that people keep by hand: what is put in is there, what they wrote stays to the byte, and taking it out gives it back.
import fc from "fast-check";
import { type ParseError, parse } from "jsonc-parser";
import { describe, expect, test } from "vitest";
import { Draft, without } from "#scripts/setup/text/draft.ts";
import { type Addition, add, type Json, nodeAt, readObject, remove } from "#scripts/setup/text/json-text.ts";

const OURS: readonly Addition[] = [
  { at: [], key: "version", value: 1 },
  { at: ["hooks", "stop"], value: { command: "shim stop", timeout: 600 } },
  { at: ["hooks", "start"], value: { command: "shim start" } },
  { at: ["hooks", "start"], value: "another" },
  { at: ["servers"], key: "code", value: { url: "http://x", headers: { a: "b" } } },
];

function added(text: string, additions = OURS): Draft {
  const draft = new Draft(text);
  for (const addition of additions) expect(typeof add(draft, addition), draft.text).toBe("object");
  return draft;
}

function read(text: string): Record<string, Json> {
  const errors: ParseError[] = [];
  const value = parse(text.replace(/^\ufeff/, ""), errors, { allowTrailingComma: true });
  expect(errors, text).toEqual([]);
  return value as Record<string, Json>;
}

const WITH = {
  version: 1,
  hooks: { stop: [{ command: "shim stop", timeout: 600 }], start: ["another", { command: "shim start" }] },
  servers: { code: { url: "http://x", headers: { a: "b" } } },
};

test.each([
  ["{}", '{\n  "version": 1,\n  "hooks": {\n    "stop": [\n      {\n        "command": "shim'],
  ["{ }", '{\n  "version": 1,'],
  ["{\n}", '{\n  "version": 1,'],
  ['{"a":1}', '{"a":1, "version": 1, "hooks": {'],
  [
    '{\n\t"a": 1\n}\n',
    '{\n\t"a": 1,\n\t"version": 1,\n\t"hooks": {\n\t\t"stop": [\n\t\t\t{\n\t\t\t\t"command"',
  ],
  ['{\n    "a": 1,\n}', '{\n    "a": 1,\n    "version": 1,\n    "hooks": {\n        "stop"'],
  ['{\r\n  "a": 1\r\n}', '{\r\n  "a": 1,\r\n  "version": 1,\r\n'],
  ['{\n  "a": 1 // mine\n}', '{\n  "a": 1, // mine\n  "version": 1,\n'],
  ['{\n  "a": 1, // mine\n  // more\n}', '{\n  "a": 1, // mine\n  // more\n  "version": 1,'],
  ['{"a": 1 // mine\n}', '{"a": 1, // mine\n  "version": 1,'],
  ["{ // none yet\n}", '{ // none yet\n  "version": 1,'],
  ["{ /* none */ }", '{ /* none */\n  "version": 1,'],
])("%j begins as it began, and is laid out as the rest of it", (text, begins) => {
  const draft = added(text);
  expect(draft.text.slice(0, begins.length)).toBe(begins);
  expect(read(draft.text)).toEqual({ ...read(text), ...WITH });
  expect(without(draft.text, draft.inserted())).toBe(text);
});

test("what is there already gets one more, at the front of a list and the end of an object", () => {
  const text = `{
  // ours come first
  "hooks": {
    "stop": [ { "command": "theirs" } ], /* why not */
    "start": [
      // theirs
      { "command": "theirs" }
    ]
  },
  "servers": { "direct": {"url":"https://direct.example","headers":{"Authorization":"Bearer x"}} }
}
`;
  const draft = added(text);
  expect(read(draft.text)).toEqual({
    version: 1,
    hooks: {
      stop: [{ command: "shim stop", timeout: 600 }, { command: "theirs" }],
      start: ["another", { command: "shim start" }, { command: "theirs" }],
    },
    servers: {
      direct: { url: "https://direct.example", headers: { Authorization: "Bearer x" } },
      code: { url: "http://x", headers: { a: "b" } },
    },
  });
  for (const theirs of [
    "  // ours come first\n",
    '{ "command": "theirs" } ], /* why not */\n',
    '      // theirs\n      { "command": "theirs" }\n    ]\n',
    '  "servers": { "direct": {"url":"https://direct.example","headers":{"Authorization":"Bearer x"}}',
  ])
    expect(draft.text).toContain(theirs);
  expect(without(draft.text, draft.inserted())).toBe(text);
});

/** Any JSON, laid out in any way, with comments wherever there may be some. */
const leaf = fc.oneof(fc.string({ maxLength: 5 }), fc.integer(), fc.boolean(), fc.constant(null));
const { value } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.string({ maxLength: 4 }), tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ) as fc.Arbitrary<Json>,
}));
const list = fc.array(value, { maxLength: 2 });
const object = fc.record(
  {
    a: value,
    hooks: fc.record({ stop: list, start: list, other: value }, { requiredKeys: [], noNullPrototype: true }),
    servers: fc.record({ theirs: value }, { requiredKeys: [], noNullPrototype: true }),
    z: value,
  },
  { requiredKeys: [], noNullPrototype: true },
);
const gap = fc.constantFrom("", " ", "\n", "\r\n", "\t", "\n    ", " // x, }\n", "/* { */", "\n// y\n");

/** Writes with the gaps in turn; a comma may stand at the end. */
function laidOut(json: Json, gaps: readonly string[], trailing: boolean): string {
  let next = 0;
  const space = () => gaps[next++ % gaps.length] ?? "";
  const one = (node: Json): string => {
    if (typeof node !== "object" || node === null) return JSON.stringify(node);
    const isList = Array.isArray(node);
    const parts = isList
      ? node.map((each: Json) => `${space()}${one(each)}${space()}`)
      : Object.entries(node).map(
          ([name, each]) => `${space()}${JSON.stringify(name)}${space()}:${space()}${one(each)}${space()}`,
        );
    const comma = trailing && parts.length > 0 ? `,${space()}` : "";
    const [open, close] = isList ? "[]" : "{}";
    return `${open}${parts.join(",")}${comma}${parts.length === 0 ? space() : ""}${close}`;
  };
  return `${space()}${one(json)}${space()}`;
}
const layouts = fc.tuple(
  object,
  fc.array(gap, { minLength: 1, maxLength: 7 }),
  fc.boolean(),
  fc.constantFrom("", "\ufeff"),
);

test("setup and then remove gives the same bytes back, whatever they were, and in between says both", () => {
  fc.assert(
    fc.property(layouts, ([json, gaps, trailing, mark]) => {
      const text = mark + laidOut(json, gaps, trailing);
      const draft = added(text);
      const { hooks = {}, servers = {}, ...rest } = json as typeof json & Record<string, Json>;
      const { stop = [], start = [] } = hooks as { stop?: Json[]; start?: Json[] };
      expect(read(draft.text)).toEqual({
        ...rest,
        version: 1,
        hooks: {
          ...hooks,
          stop: [...WITH.hooks.stop, ...stop],
          start: [...WITH.hooks.start, ...start],
        },
        servers: { ...servers, ...WITH.servers },
      });
      expect(without(draft.text, draft.inserted())).toBe(text);
    }),
    { numRuns: 300 },
  );
});

/** The comments of a text in turn, and not what looks like one in a string. */
const comments = (text: string): readonly string[] =>
  (text.match(/"(?:[^"\\]|\\.)*"|\/\/ [xy][^\n\r]*|\/\* \{ \*\//g) ?? []).filter(
    (found) => !found.startsWith('"'),
  );

test("what somebody else puts in afterwards stays when ours is taken out by name", () => {
  fc.assert(
    fc.property(layouts, ([json, gaps, trailing, mark]) => {
      const text = mark + laidOut(json, gaps, trailing);
      const draft = added(text);
      for (const addition of [
        { at: ["servers"], key: "later", value: { url: "y" } },
        { at: ["hooks", "stop"], value: { command: "later" } },
      ])
        expect(typeof add(draft, addition)).toBe("object");
      let left = draft.text;
      for (const path of [
        ["servers", "code"],
        ["hooks", "stop", 1],
        ["hooks", "start", 0],
        ["hooks", "start", 0],
        ["version"],
      ]) {
        const root = readObject(left);
        if (typeof root === "string") throw new Error(root);
        left = remove(left, root, path) ?? "";
      }
      const before = json as { hooks?: Record<string, Json[]>; servers?: Record<string, Json> };
      expect(read(left)).toEqual({
        ...json,
        hooks: {
          ...before.hooks,
          stop: [{ command: "later" }, ...(before.hooks?.["stop"] ?? [])],
          start: before.hooks?.["start"] ?? [],
        },
        servers: { ...before.servers, later: { url: "y" } },
      });
      expect(comments(left)).toEqual(comments(text));
    }),
    { numRuns: 300 },
  );
});

test.each([
  ['{\n  // why\n  "a": 1,\n  "b": 2 // two\n}\n', ["a"], '{\n  // why\n  "b": 2 // two\n}\n'],
  ['{\n  "a": 1, // one\n  "b": 2\n}\n', ["b"], '{\n  "a": 1 // one\n}\n'],
  ['{\n  // none\n  "a": 1\n}', ["a"], "{\n  // none\n}"],
  ['{ // one\n"a": 1 /* its */ , "b": 2}', ["a"], '{ // one\n/* its */  "b": 2}'],
  ['{"a": [1, 2, 3,]}', ["a", 2], '{"a": [1, 2, ]}'],
  ['{"a": [1, 2, 3]}', ["a", 0], '{"a": [2, 3]}'],
  ['{\r\n  "a": 1,\r\n  "b": 2\r\n}', ["b"], '{\r\n  "a": 1\r\n}'],
] as const)("%j without %j keeps what people wrote around it", (text, path, left) => {
  const root = readObject(text);
  if (typeof root === "string") throw new Error(root);
  expect(remove(text, root, path)).toBe(left);
});

describe("what cannot be read is not touched", () => {
  test.each([
    ["", "is not JSON: line 1"],
    ["[]", "holds no JSON object"],
    ['"x"', "holds no JSON object"],
    ['{\n "a": 1\n "b": 2\n}', "is not JSON: line 3"],
    ["{", "is not JSON"],
    ['{"a":{"b":1,"b":2}}', 'has "b" twice in one object'],
  ])("%j %s", (text, why) => expect(readObject(text)).toContain(why));

  test.each([
    ['{"hooks":[]}', "hooks is no object"],
    ['{"hooks":{"stop":{}}}', "hooks.stop is no array"],
    ['{"hooks":"x"}', "hooks is no object"],
  ])("%j: %s", (text, why) => {
    const draft = new Draft(text);
    expect(add(draft, OURS[1] as Addition)).toBe(why);
    expect(draft.text).toBe(text);
  });
});

test("what stands elsewhere, or was changed, is not taken out", () => {
  const draft = added("{}");
  expect(without(`${draft.text} `, draft.inserted())).toBe("{} ");
  expect(without(` ${draft.text}`, draft.inserted())).toBeUndefined();
  expect(without(draft.text.replace("shim stop", "shim  stop"), draft.inserted())).toBeUndefined();
  const root = readObject('{"a":1}');
  if (typeof root === "string") throw new Error(root);
  expect(remove('{"a":1}', root, ["b"])).toBeUndefined();
  expect(nodeAt(root, ["a"])?.value).toBe(1);
});
