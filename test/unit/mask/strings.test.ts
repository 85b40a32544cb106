import fc from "fast-check";
import { expect, test } from "vitest";
import { KEY, passed } from "./passed.ts";
import { bytesOf } from "./scanned.ts";

test("a string that is there at once is read as one that comes byte by byte, whatever is escaped in it and how", () => {
  const written = fc.constantFrom(
    ...[
      "hush",
      " ",
      "\\u0020hush",
      "\\n",
      "\\\\",
      '\\"',
      "\\/",
      "\\b\\f\\r\\t",
      "\\u00e9",
      "\\u0041",
      "\\u0000",
      "\\u007f",
    ],
    ...[
      "\\ud83e\\udd85",
      "\\ud83e",
      "\\u00",
      "\\u00zz",
      "\\q",
      "\\é",
      "naïve",
      "na\\u00efve ",
      " hu\\u0073h hush ",
      "ann\\u0040example.com",
      "a@example.com",
      KEY,
    ],
  );
  fc.assert(
    fc.property(fc.array(written, { maxLength: 12 }), fc.constantFrom("note", "password"), (parts, name) => {
      const bytes = bytesOf(`{"${name}":"${parts.join("")}","hush hush":["hush hush"]}`);
      const bit = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
      expect(passed("json", [bytes])).toEqual(passed("json", bit));
    }),
    { numRuns: 500 },
  );
});
