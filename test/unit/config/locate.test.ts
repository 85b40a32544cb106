import fc from "fast-check";
import { expect, test } from "vitest";
import { locate } from "#scripts/config/locate.ts";
import { edits, nearest } from "#scripts/config/nearest.ts";

const TEXT = `# comment
[listen]
agents = "a" # [not.a.table]
note = """
console = "inside a string"
"""
console = "b"

[[identity.oidc]]
issuer = "1"
[[identity.oidc]]
"issuer" = "2"
inline = { cert = "x", key = "y" }
[archive]
s3.bucket = "b"
`;

test.each([
  [["listen"], 2],
  [["listen", "agents"], 3],
  [["listen", "console"], 7],
  [["identity", "oidc", 0, "issuer"], 10],
  [["identity", "oidc", 1, "issuer"], 12],
  [["identity", "oidc", 1, "inline", "key"], 13],
  [["identity", "oidc", 1, "absent"], 11],
  [["archive", "s3", "bucket"], 15],
  [["absent"], 1],
])("%j is found on line %i", (path, expected) => expect(locate(TEXT, path)).toBe(expected));

test("a line is always one of the text", () => {
  fc.assert(
    fc.property(fc.string(), fc.array(fc.oneof(fc.string(), fc.nat(3)), { maxLength: 3 }), (text, path) => {
      const found = locate(text, path);
      expect(found).toBeGreaterThanOrEqual(1);
      expect(found).toBeLessThanOrEqual(text.split("\n").length);
    }),
  );
});

test("a word is nearest to itself, and nothing is near a word of another kind", () => {
  const known = ["issuer", "audience", "console_audience"];
  expect(nearest("issuer_url", known)).toBe("issuer");
  expect(nearest("Audience", known)).toBe("audience");
  expect(nearest("zzz", known)).toBeUndefined();
});

test("edit distance is a metric", () => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(word, word, word, (a, b, c) => {
      expect(edits(a, a)).toBe(0);
      expect(edits(a, b)).toBe(edits(b, a));
      expect(edits(a, c)).toBeLessThanOrEqual(edits(a, b) + edits(b, c));
    }),
  );
});
