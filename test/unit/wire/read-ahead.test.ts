import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ReadAhead } from "#workers/wire/read-ahead.ts";

/** Gives the pieces one at a time, each after the event loop has turned as often as `turns` says. */
function source(pieces: readonly Uint8Array[], turns: readonly number[] = [], failure?: Error) {
  let at = 0;
  return async (): Promise<Uint8Array | undefined> => {
    for (let turn = 0; turn < (turns[at] ?? 0); turn++) await new Promise((resolve) => setImmediate(resolve));
    const piece = pieces[at++];
    if (!piece && failure) throw failure;
    return piece;
  };
}

async function drain(ahead: ReadAhead): Promise<Uint8Array[]> {
  const taken: Uint8Array[] = [];
  for (let chunk = await ahead.take(); chunk; chunk = await ahead.take()) taken.push(chunk);
  return taken;
}

const moment = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
/** Longer, in turns of the event loop, than any source here takes. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe("reading ahead", () => {
  test("gives every byte in order, however the pieces come and whatever the bound", async () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 20 });
    const turns = fc.array(fc.nat({ max: 2 }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(pieces, turns, fc.integer({ min: 1, max: 64 }), async (given, waits, limit) => {
        const taken = await drain(new ReadAhead(source(given, waits), limit, moment));
        expect(Buffer.concat(taken)).toEqual(Buffer.concat(given));
      }),
      { numRuns: 200 },
    );
  });

  test("gives a piece as soon as it is there, without waiting for more", async () => {
    const never = new Promise<undefined>(() => undefined);
    let given = false;
    const ahead = new ReadAhead(
      () => {
        if (given) return never;
        given = true;
        return Promise.resolve(new Uint8Array([7]));
      },
      1024,
      moment,
    );
    expect(await ahead.take()).toEqual(new Uint8Array([7]));
  });

  test("joins what came while its taker was busy", async () => {
    const ahead = new ReadAhead(source([1, 2, 3].map((byte) => new Uint8Array([byte]))), 1024, moment);
    await settled();
    expect(await ahead.take()).toEqual(new Uint8Array([1, 2, 3]));
    expect(await ahead.take()).toBe(undefined);
  });

  test("joins pieces that come shortly after one another, and gives them although the source never rests", async () => {
    const endless = async () =>
      new Promise<Uint8Array>((resolve) => setImmediate(resolve, new Uint8Array(8 * 1024)));
    const taken = await new ReadAhead(endless, 1024 * 1024, moment).take();
    expect(taken?.byteLength).toBeGreaterThan(10 * 8 * 1024);
  });

  test("waits no longer than until the end", async () => {
    const never = () => new Promise<void>(() => undefined);
    const ahead = new ReadAhead(source([new Uint8Array([1]), new Uint8Array([2])], [0, 3, 3]), 1024, never);
    expect(await ahead.take()).toEqual(new Uint8Array([1, 2]));
  });

  test("does not wait for a source that only trickles", async () => {
    let came = 0;
    const trickle = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return new Uint8Array([++came]);
    };
    let moments = 0;
    await new ReadAhead(trickle, 1024 * 1024, async () => {
      moments += 1;
      await moment();
    }).take();
    expect(moments).toBe(1);
  });

  test("without moments gives what is there at once, and then all that came while its taker was busy", async () => {
    const pieces = [1, 2, 3].map((byte) => new Uint8Array([byte]));
    const ahead = new ReadAhead(source(pieces, [0, 3, 0]), 1024);
    expect(await ahead.take()).toEqual(new Uint8Array([1]));
    await settled();
    expect(await ahead.take()).toEqual(new Uint8Array([2, 3]));
    expect(await ahead.take()).toBe(undefined);
  });

  test("reads no more than its bound and one piece until something is taken", async () => {
    let reads = 0;
    const ahead = new ReadAhead(async () => (reads++ < 100 ? new Uint8Array(10) : undefined), 25, moment);
    await settled();
    expect(reads).toBe(3);
    expect((await ahead.take())?.byteLength).toBe(30);
    await settled();
    expect(reads).toBe(6);
  });

  test("keeps its own copy: a source may read every piece into one buffer", async () => {
    const buffer = new Uint8Array(4);
    let piece = 0;
    const one = async () => (piece++ < 9 ? buffer.fill(piece) : undefined);
    const taken = await drain(new ReadAhead(one, 1024, moment));
    expect(Buffer.concat(taken)).toEqual(
      Buffer.concat([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => Buffer.alloc(4, n))),
    );
  });

  test("gives a small piece without the room that was set aside for more", async () => {
    const ahead = new ReadAhead(source([new Uint8Array(200), new Uint8Array(200)], [0, 9]), 1024 * 1024);
    const taken = [await ahead.take(), await ahead.take()];
    expect(taken.map((one) => one?.buffer.byteLength)).toEqual([200, 200]);
  });

  test("gives what came before a failure, then the failure, every time it is asked", async () => {
    const failure = new Error("broke off");
    const ahead = new ReadAhead(source([new Uint8Array([1])], [], failure), 1024, moment);
    await settled();
    expect(await ahead.take()).toEqual(new Uint8Array([1]));
    await expect(ahead.take()).rejects.toBe(failure);
    await expect(ahead.take()).rejects.toBe(failure);
  });
});
