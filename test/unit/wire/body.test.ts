import fc from "fast-check";
import { expect, test } from "vitest";
import { bytesOf } from "#test/unit/adapter-contract.ts";
import { peek } from "#workers/wire/body.ts";

function request(
  chunks: readonly Uint8Array[],
  headers: Record<string, string> = {},
  failure?: Error,
): Request {
  const waiting = [...chunks];
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = waiting.shift();
      if (next) controller.enqueue(next);
      else if (failure) controller.error(failure);
      else controller.close();
    },
  });
  return new Request("http://gateway/", { method: "POST", headers, body, duplex: "half" } as RequestInit);
}

const chunk = fc.uint8Array({ minLength: 1, maxLength: 40_000 });

test("every byte comes out, wherever reading stops", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(chunk, { maxLength: 8 }),
      fc.nat(100_000),
      fc.nat(100_000),
      fc.boolean(),
      async (chunks, limit, stop, says) => {
        const all = Buffer.concat(chunks);
        const headers: Record<string, string> = says ? { "content-length": String(all.byteLength) } : {};
        const body = await peek(request(chunks, headers), limit, 60, (bytes) => bytes.byteLength >= stop);
        expect(Buffer.compare(await bytesOf(body), all)).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});

test("no more than the limit and one chunk is held", async () => {
  const chunks = Array.from({ length: 10 }, () => new Uint8Array(1000));
  const body = await peek(request(chunks), 2500, 60, () => false);
  expect(body).toMatchObject({ kind: "stream", length: undefined });
  expect(body.kind === "stream" && body.prefix.byteLength).toBe(3000);
});

test("reading stops as soon as it is enough", async () => {
  const body = await peek(request([Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]), 100, 60, (bytes) =>
    bytes.includes(2),
  );
  expect(body).toMatchObject({ kind: "stream", prefix: Uint8Array.of(1, 2) });
});

test("a body of exactly its declared length is whole, even at the limit", async () => {
  const body = await peek(request([new Uint8Array(50)], { "content-length": "50" }), 50, 60, () => true);
  expect(body).toEqual({ kind: "whole", bytes: new Uint8Array(50) });
});

test("the declared length goes along with a streamed body, unless it is no number", async () => {
  const streamed = await peek(request([new Uint8Array(50)], { "content-length": "80" }), 10, 60, () => false);
  expect(streamed).toMatchObject({ kind: "stream", length: 80 });
  const odd = await peek(request([new Uint8Array(50)], { "content-length": "8e1" }), 10, 60, () => false);
  expect(odd).toMatchObject({ kind: "stream", length: undefined });
});

test("no body and an empty body are told apart", async () => {
  expect(await peek(new Request("http://gateway/"), 10, 60, () => false)).toEqual({ kind: "none" });
  expect(await peek(request([]), 10, 60, () => false)).toEqual({ kind: "whole", bytes: new Uint8Array(0) });
});

test("a client that breaks off is a failure, and the body is free again", async () => {
  const broken = request([Uint8Array.of(1)], {}, new Error("connection reset"));
  await expect(peek(broken, 10, 60, () => false)).rejects.toThrow("connection reset");
  expect(broken.body?.locked).toBe(false);
});

test("a body that sends nothing is given up, and not waited for again", async () => {
  const cancelled = Promise.withResolvers<unknown>();
  const stalled = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(1)),
    cancel: (reason) => cancelled.resolve(reason),
  });
  const asked = new Request("http://gateway/", {
    method: "POST",
    body: stalled,
    duplex: "half",
  } as RequestInit);
  await expect(peek(asked, 10, 0.05, () => false)).rejects.toThrow("sent nothing for 0.05 s");
  await cancelled.promise;
  expect(await asked.body?.getReader().read()).toEqual({ done: true, value: undefined });
});
