import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitsLine } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import { detectors } from "#test/unit/adapter-contract.ts";
import { canonical, definitionFrame, hintsOf } from "#workers/adapters/mcp/catalogue/definition.ts";
import type { JsonObject } from "#workers/wire/json/strict.ts";

const named = (tool: string, value: JsonObject) => ({ tool, ...canonical(value) });
const frameOf = (before: JsonObject, after: JsonObject, hidden = false) =>
  definitionFrame(
    { pinned: named("echo", before), shown: named("echo", after) },
    hidden ? detectors.choose(["secrets", "email"]) : undefined,
  );

test("a definition is the same whatever order its members are in, and another when a letter is", () => {
  const one = canonical(JSON.parse('{"name":"a","inputSchema":{"type":"object","required":["x","y"]}}'));
  const same = canonical(
    JSON.parse('{"inputSchema":{ "required":["x","y"],"type":"object"},"name":"\\u0061"}'),
  );
  expect(same).toEqual(one);
  expect(one.text).toBe('{"inputSchema":{"required":["x","y"],"type":"object"},"name":"a"}');
  expect(
    canonical(JSON.parse('{"name":"a","inputSchema":{"type":"object","required":["y","x"]}}')).digest,
  ).not.toBe(one.digest);
});

test("it says of its tool what it says, and nothing where it says nothing, or no yes or no", () => {
  expect(
    hintsOf({ annotations: { readOnlyHint: true, destructiveHint: false, openWorldHint: true } }),
  ).toEqual({
    readOnly: true,
    destructive: false,
    openWorld: true,
  });
  expect(hintsOf({ annotations: { readOnlyHint: "yes", title: "x" } })).toEqual({});
  expect([hintsOf({}), hintsOf({ annotations: [] }), hintsOf(null)]).toEqual([{}, {}, {}]);
});

describe("how two differ", () => {
  test("is told member by member, each line of a text by itself", () => {
    const { patch, pinned, shown } = frameOf(
      { name: "echo", description: "Says it", inputSchema: { properties: { text: { type: "string" } } } },
      {
        name: "echo",
        description: "Says it\nand tells",
        inputSchema: { properties: { text: { type: "string" }, to: { type: "string" } } },
      },
    );
    expect(patch.split("\n")).toEqual([
      "@@ -1,3 +1,5 @@",
      '-description: "Says it"',
      '+description: "Says it\\n"',
      '+description: "and tells"',
      ' inputSchema.properties.text.type: "string"',
      '+inputSchema.properties.to.type: "string"',
      ' name: "echo"',
    ]);
    expect(pinned).not.toBe(shown);
  });

  test("shows letters that nobody sees, and a member that is empty", () => {
    const { patch } = frameOf(
      { name: "echo" },
      { name: "echo", description: "a\u200bb\u{e0041}", inputSchema: {} },
    );
    expect(patch).toContain('+description: "a\\u{200b}b\\u{e0041}"');
    expect(patch).toContain("+inputSchema: {}");
  });

  test("has no secret in it, and says that its digests are to be keyed", () => {
    const token = `ghp_${"a1B2".repeat(9)}`;
    const frame = frameOf(
      { description: "x", name: "echo" },
      { description: `use ${token}`, name: "echo" },
      true,
    );
    expect(frame.patch).not.toContain(token);
    expect(frame).toMatchObject({ hidden: true, patch: expect.stringContaining("[masked:secrets]") });
    const both = frameOf({ d: token, name: "echo" }, { d: token.replace("a", "b"), name: "echo" }, true);
    expect(both.patch).toBe("what differs is hidden");
  });

  test("fits into a line however long the definitions are", () => {
    const long = fc.string({ minLength: 1, maxLength: 20_000, unit: "grapheme" });
    fc.assert(
      fc.property(long, fc.array(fc.string({ unit: "binary" }), { maxLength: 2_000 }), (text, list) => {
        const frame = frameOf({ name: "echo" }, { name: "echo", text: text.repeat(5), list });
        expect(fitsLine({ ...frame, x: "x" as ExchangeId })).toBe(true);
        if (frame.omitted === undefined) expect(frame.patch).toContain("text");
      }),
      { numRuns: 30 },
    );
  });
});
