import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Event, Events, withData } from "#workers/adapters/mcp/catalogue/events.ts";

const utf8 = new TextEncoder();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function cut(bytes: Uint8Array, sizes: readonly number[] = [], limit = 1 << 20): Event[] {
  const events = new Events(limit);
  const all: Event[] = [];
  let at = 0;
  for (const size of [...sizes, bytes.byteLength]) {
    all.push(...events.push(bytes.slice(at, at + size)));
    at += size;
  }
  const last = events.end();
  return last ? [...all, last] : all;
}

const line = fc.oneof(
  fc.constantFrom("", "", ": sign of life", "id: 7", "event: message", "retry: 10", "data", "data:", "junk"),
  fc
    .string({ maxLength: 12, unit: fc.constantFrom("a", "ü", " ", "{", '"', ":") })
    .map((said) => `data: ${said}`),
);
const stream = fc
  .array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r")), { maxLength: 30 })
  .map((lines) => lines.map(([said, end]) => said + end).join(""));
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 });

test("every byte comes out in its order, however the stream is split", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        stream.map((said) => utf8.encode(said)),
        fc.uint8Array({ maxLength: 60 }),
      ),
      sizes,
      (bytes, split) => {
        expect(Buffer.concat(cut(bytes, split).map((event) => event.bytes))).toEqual(Buffer.from(bytes));
      },
    ),
    { numRuns: 500 },
  );
});

test("events say what a client's parser hears, however the stream is split", () => {
  fc.assert(
    fc.property(stream, sizes, (said, split) => {
      const heard: string[] = [];
      // It is not told of events without data, and of the last one only where that was ended.
      const whole = `${said}\n\n`;
      const parser = createParser({ onEvent: ({ data }) => void heard.push(data) });
      parser.feed(whole);
      const cuts = cut(utf8.encode(whole), split).flatMap(({ data }) => (data === undefined ? [] : [data]));
      expect(cuts).toEqual(heard);
    }),
    { numRuns: 500 },
  );
});

test("a comment goes on at once, and an event when its blank line is there", () => {
  const events = new Events(1_000);
  expect(events.push(utf8.encode(": still here\n")).map(({ bytes }) => text(bytes))).toEqual([
    ": still here\n",
  ]);
  expect(events.push(utf8.encode("data: a\nid: 1\n"))).toEqual([]);
  expect(events.push(utf8.encode("\n")).map(({ bytes }) => text(bytes))).toEqual(["data: a\nid: 1\n\n"]);
});

test("a stream's byte order mark is no part of its first line, and bytes that are no UTF-8 are told", () => {
  expect(cut(utf8.encode("\ufeffdata: a\n\n"))).toMatchObject([{ data: "a", text: true }]);
  expect(cut(Uint8Array.from([...utf8.encode("data: "), 0xff, 10, 10]))).toMatchObject([{ text: false }]);
});

test("an event that is longer than it may be is told before it is whole", () => {
  const events = new Events(100);
  expect(events.push(utf8.encode("data: a\n\ndata: b"))).toHaveLength(1);
  expect(events.long).toBe(false);
  expect(events.push(utf8.encode("b".repeat(100)))).toEqual([]);
  expect(events.long).toBe(true);
});

test.each([
  ["\n", "id: 1\nevent: message\ndata: old\nretry: 5\n\n", "id: 1\nevent: message\ndata: new\nretry: 5\n\n"],
  ["\r\n", "data: o\r\ndata: ld\r\nid: 2\r\n\r\n", "data: new\r\nid: 2\r\n\r\n"],
  ["\r", "data:old\rid: 3\r\r", "data: new\rid: 3\r\r"],
])("another message leaves the other lines as they were: %j", (_, before, after) => {
  const [event] = cut(utf8.encode(before));
  if (!event) throw new Error("there is one");
  expect(text(withData(event, "new"))).toBe(after);
});

test("a message of several lines stays one event", () => {
  const [event] = cut(utf8.encode("data: old\n\n"));
  if (!event) throw new Error("there is one");
  expect(cut(withData(event, '{\n"a":1\r\n}'))).toMatchObject([{ data: '{\n"a":1\n}' }]);
});
