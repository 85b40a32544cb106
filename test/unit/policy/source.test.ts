import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { isPolicyName, lineAt, lineAtByte, statements } from "#workers/policy/set/source.ts";

test("a file is cut at the semicolons that end policies, not at those in strings or comments", () => {
  const text = `// a; b\n@reason("x; \\"y\\" // no")\npermit(principal, action, resource) // ;\nwhen { true };\n\n forbid(a); // tail ;`;
  expect(statements(text).map(({ text, line }) => [text.split("\n").length, text.at(-1), line])).toEqual([
    [3, ";", 2],
    [1, ";", 6],
  ]);
});

test("comments and blanks alone are no policies, and text after the last semicolon is not lost", () => {
  expect(statements(" \n// permit(principal, action, resource);\r\n")).toEqual([]);
  expect(statements("permit(a);\nforb").map(({ text }) => text)).toEqual(["permit(a);", "forb"]);
  expect(statements(`permit("a;\n`).map(({ text }) => text)).toEqual([`permit("a;\n`]);
});

test("nesting and operators are counted, those in strings are not", () => {
  const [one] = statements(
    `permit(principal is A::B, action, resource) when { (("((&&" == "!")) || !true && [1 + 2] has x.y };`,
  );
  expect(one).toMatchObject({ depth: 3, operators: 6 });
});

// Pieces of policies, joined at random: the cut must agree with Cedar's own wherever Cedar can read the whole.
const piece = fc.constantFrom(
  `permit(principal, action, resource);`,
  `forbid(principal, action, resource) when { "a;b" == "\\"" };`,
  `@reason("// not a comment; \\\\") permit(principal, action, resource) // comment; "\n unless { true };`,
  `// permit(principal, action, resource);\n`,
  `// forbid(principal, action, resource);\r`,
  ` \t\n`,
  `permit(principal, action, resource)`,
  `"`,
  `;`,
  `// `,
);

test("whatever Cedar reads as n policies is cut into the same n", () => {
  let read = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 7 }), (pieces) => {
      const text = pieces.join("");
      const whole = cedar.policySetTextToParts(text);
      const cut = statements(text);
      if (whole.type === "failure") {
        expect(cut.some((one) => cedar.policyToJson(one.text).type === "failure")).toBe(true);
        return;
      }
      read++;
      expect(cut).toHaveLength(whole.policies.length);
      const ours = cut.map((one) => cedar.policyToJson(one.text));
      const theirs = whole.policies.map((one) => cedar.policyToJson(one));
      expect(ours.map((json) => JSON.stringify(json)).sort()).toEqual(
        theirs.map((json) => JSON.stringify(json)).sort(),
      );
    }),
    { numRuns: 400 },
  );
  expect(read).toBeGreaterThan(50);
});

test("lines are counted in letters or in UTF-8 bytes, as asked", () => {
  const text = "ü\nöö\nx";
  expect([0, 1, 2, 4, 5].map((offset) => lineAt(text, offset))).toEqual([1, 1, 2, 2, 3]);
  expect([0, 2, 3, 7, 8].map((offset) => lineAtByte(text, offset))).toEqual([1, 1, 2, 2, 3]);
});

test("only visible *.cedar files are policies", () => {
  const names = ["a.cedar", ".a.cedar", "..data", "a.cedar~", "a.cedar.swp", "schema.cedarschema", "a.txt"];
  expect(names.filter(isPolicyName)).toEqual(["a.cedar"]);
});
