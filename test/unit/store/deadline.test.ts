import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ArchiveConflict, ArchiveFault } from "#durable/store/archive.ts";
import { chunksOf, collect, within } from "#durable/store/deadline.ts";

const never = new AbortController().signal;

function streamOf(
  chunks: readonly Uint8Array[],
  end: "ends" | "stalls" = "ends",
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      if (end === "ends") controller.close();
    },
  });
}

describe("a body of an announced length", () => {
  test("is the same however it was cut into chunks", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 20 })), async (chunks) => {
        const whole = Buffer.concat(chunks);
        expect(Buffer.from(await collect(streamOf(chunks), whole.length, never))).toEqual(whole);
      }),
    );
  });

  test("throws when it is shorter or longer", async () => {
    const chunks = [new Uint8Array(3), new Uint8Array(3)];
    await expect(collect(streamOf(chunks), 7, never)).rejects.toThrow("6 of the 7 bytes announced");
    await expect(collect(streamOf(chunks), 5, never)).rejects.toThrow("more than the 5 bytes announced");
  });

  test("that stalls is given up when the signal fires, and its stream is cancelled", async () => {
    const controller = new AbortController();
    let cancelled = false;
    const stalled = new ReadableStream<Uint8Array>({
      cancel() {
        cancelled = true;
      },
    });
    const reading = collect(stalled, 1, controller.signal);
    controller.abort(new Error("too late"));
    await expect(reading).rejects.toThrow("too late");
    expect(cancelled).toBe(true);
  });

  test("is not begun when the signal has fired", async () => {
    const chunks = chunksOf(streamOf([], "stalls"), AbortSignal.abort(new Error("too late")));
    await expect(chunks.next()).rejects.toThrow("too late");
  });
});

describe("a call with a deadline", () => {
  test("gives what its work gives", async () => {
    expect(await within(1_000, "get a", async () => 7)).toBe(7);
  });

  test("passes a conflict and a fault on as they are", async () => {
    for (const error of [new ArchiveConflict("other bytes"), new ArchiveFault("lost")]) {
      await expect(within(1_000, "put a", () => Promise.reject(error))).rejects.toBe(error);
    }
  });

  test("makes a fault of anything else, that names the call and keeps the cause", async () => {
    const cause = new TypeError("connection refused");
    const failed = within(1_000, "put a", () => Promise.reject(cause));
    await expect(failed).rejects.toMatchObject({ name: "ArchiveFault", cause, message: `put a: ${cause}` });
  });

  test("is a fault that says so when the time is over", async () => {
    const work = (signal: AbortSignal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    await expect(within(20, "put a", work)).rejects.toThrow("put a: not done within 20 ms");
  });
});
