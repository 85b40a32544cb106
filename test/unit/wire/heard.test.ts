import fc from "fast-check";
import { expect, test } from "vitest";
import { heardFrom } from "#workers/wire/json/heard.ts";
import type { JsonObject } from "#workers/wire/json/strict.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
/** What is heard of these bytes when they come in these pieces. */
function heard(type: string, bytes: Uint8Array, cuts: readonly number[]): readonly JsonObject[] | "part" {
  const seen: JsonObject[] = [];
  const hearing = heardFrom(new Headers({ "content-type": type }), (json) => seen.push(json));
  const at = [0, ...cuts, bytes.byteLength];
  for (const [i, end] of at.slice(1).entries()) hearing?.hear(bytes.subarray(at[i], end));
  return hearing?.end(true) ? seen : "part";
}

const MESSAGES = [
  { jsonrpc: "2.0", id: 1, result: { content: [{ type: "text", text: "größer 👀 \u2028" }] } },
  { jsonrpc: "2.0", method: "notifications/progress", params: { progress: 0.5 } },
  { jsonrpc: "2.0", id: "a", error: { code: -32000, message: "no\\n" } },
];
/** Streams as servers write them: line ends, comments, fields, data over several lines, one without its last blank line. */
const STREAMS = ["\n", "\r\n", "\r"].flatMap((end) => [
  MESSAGES.map((one) => `data: ${JSON.stringify(one)}${end}${end}`).join(""),
  `: hello${end}${end}${MESSAGES.map((one, i) => `id: ${i}${end}event: message${end}data:${JSON.stringify(one)}${end}${end}`).join(`: ping${end}${end}`)}`,
  MESSAGES.map(
    (one) =>
      `${JSON.stringify(one, null, 1)
        .split("\n")
        .map((line) => `data: ${line}${end}`)
        .join("")}${end}`,
  ).join(""),
  `retry: 10${end}data:${end}${end}${MESSAGES.map((one) => `data: ${JSON.stringify(one)}${end}${end}`).join("")}data: [DONE]${end}${end}`,
]);

test.each(STREAMS.map((stream, n) => [n, stream] as const))(
  "stream %i is heard alike at every cut, and byte by byte",
  (_, stream) => {
    const bytes = utf8(stream);
    for (let cut = 0; cut <= bytes.byteLength; cut++)
      expect(heard("text/event-stream", bytes, [cut])).toEqual(MESSAGES);
    const each = Array.from({ length: bytes.byteLength - 1 }, (__, i) => i + 1);
    expect(heard("text/event-stream", bytes, each)).toEqual(MESSAGES);
  },
);

test("JSON is heard alike at every cut", () => {
  for (const one of MESSAGES) {
    const bytes = utf8(JSON.stringify(one));
    for (let cut = 0; cut <= bytes.byteLength; cut++)
      expect(heard("application/json", bytes, [cut])).toEqual([one]);
  }
  const list = utf8(JSON.stringify(MESSAGES));
  expect(heard("application/json", list, [7, 8, 90])).toEqual(MESSAGES);
});

test("whatever a stream says, it is heard alike in whatever pieces, and nothing is thrown", () => {
  const line = fc.oneof(
    fc.constantFrom(
      "data: {}",
      "data: {",
      'data: "x"',
      ": c",
      "id: 1",
      "data",
      "event:",
      "\ufeff",
      "data:[1,{}]",
    ),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  const stream = fc
    .array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r", "\n\n", "\r\n\r\n")), { maxLength: 30 })
    .map((lines) => lines.flat().join(""));
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (text, places) => {
      const bytes = utf8(text);
      const cuts = places.map((place) => place % (bytes.byteLength + 1)).toSorted((a, b) => a - b);
      expect(heard("text/event-stream", bytes, cuts)).toEqual(heard("text/event-stream", bytes, []));
    }),
    { numRuns: 400 },
  );
});
