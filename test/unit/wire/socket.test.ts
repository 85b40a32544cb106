import fc from "fast-check";
import { expect, test } from "vitest";
import { readMessages as read } from "#test/support/messages.ts";
import { closeBytes, messageBytes } from "#workers/wire/socket/message.ts";

test("recorded messages keep their borders and kinds, and `ws` reads them", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.string(), fc.uint8Array({ maxLength: 300 })), { maxLength: 5 }),
      async (messages) => {
        const parts = messages.map((message) =>
          messageBytes(typeof message === "string" ? message : new Uint8Array(message).buffer),
        );
        const expected = messages.map((message) =>
          typeof message === "string" ? message : Buffer.from(message),
        );
        expect(await read(Buffer.concat(parts))).toEqual(expected);
      },
    ),
    { numRuns: 50 },
  );
});

test.each([125, 126, 65_535, 65_536, 200_000])(
  "a message of %i bytes is written with the right length",
  async (size) => {
    expect(await read(messageBytes("x".repeat(size)))).toEqual(["x".repeat(size)]);
  },
);

test("a close is recorded with its code and reason, and without a code that may not be sent", async () => {
  expect(await read(closeBytes(4001, "as you wish"))).toEqual([[4001, "as you wish"]]);
  expect(await read(closeBytes(1006, ""))).toEqual([[1005, ""]]);
});
