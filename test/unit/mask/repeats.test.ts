import fc from "fast-check";
import { expect, test } from "vitest";
import { Detectors } from "#workers/mask/detectors.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import { maskerFor } from "#workers/mask/reading.ts";
import { bytesOf } from "./scanned.ts";

const rules = new Detectors({
  detectors: ["secrets", "email", "word"],
  patterns: [{ name: "word", pattern: "(?i)\\bhush[a-z]{0,6} ?hush\\b", severity: "low" }],
  dictionaries: [],
}).choose() as Rules;
const KEY = `ghp_${"a1B2".repeat(9)}`;

type Event = { readonly choices: readonly [{ readonly delta: { readonly content?: string } }] };

/** A streamed answer masked: its text, and what was hidden of it. */
function masked(stream: string) {
  const masker = maskerFor("sse", rules);
  const text = Buffer.concat([masker.push(bytesOf(stream)), masker.end()]).toString();
  const events = [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data ?? "") as Event);
  const bytes = Buffer.from(text);
  const masks = masker.masks().map(({ off, ...mask }) => {
    expect(bytes.subarray(off).toString()).toMatch(/^\[masked:/);
    return mask;
  });
  return { text: events.map(({ choices: [{ delta }] }) => delta.content ?? "").join(""), masks, raw: text };
}

test("events that differ in one piece alone are masked as those that differ in more", () => {
  const words = ["a", " ", "@", ".", '"', "\\", "\n", "é", "hush", "hush hush", "ann@b", "example.com", KEY];
  const piece = fc.array(fc.constantFrom(...words), { maxLength: 4 }).map((some) => some.join(""));
  const stream = (pieces: readonly string[], id: (n: number) => number) =>
    pieces
      .map((content, n) => ({ id: id(n), choices: [{ index: 0, delta: { content } }] }))
      .map((event) => `: quiet\nevent: piece\ndata: ${JSON.stringify(event)}\n\n`)
      .join("");
  const same = fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
    const [alike, unlike] = [masked(stream(pieces, () => 1)), masked(stream(pieces, (n) => n % 10))];
    expect([alike.text, alike.masks]).toEqual([unlike.text, unlike.masks]);
  });
  fc.assert(same, { numRuns: 300 });
});

test("an event that says a name twice, which readers read in two ways, hides in both places", () => {
  const twice = (content: string) =>
    `data: {"choices":[{"delta":{"content":"${content}","content":"b"}}]}\n\n`;
  const { raw } = masked([twice("x"), twice("y"), twice(` ${KEY} `), twice("z")].join(""));
  expect(raw).not.toContain(KEY);
});
