import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { endMark, MARK_LENGTH, MarkedStream } from "#workers/wire/end-mark.ts";

const mark = endMark("clearance");

/** What a reader gets of the bytes when they come cut at these places. */
function read(
  bytes: Uint8Array,
  cuts: readonly number[],
): { readonly passed: Buffer; readonly whole: boolean } {
  const marked = new MarkedStream(mark);
  const places = [0, ...cuts.map((cut) => cut % (bytes.byteLength + 1)), bytes.byteLength].toSorted(
    (a, b) => a - b,
  );
  const passed = places
    .slice(1)
    .map((end, i) => Uint8Array.from(marked.pass(bytes.subarray(places[i], end))));
  return { passed: Buffer.concat(passed), whole: marked.whole() };
}

describe("a marked stream", () => {
  const cuts = fc.array(fc.nat(), { maxLength: 8 });

  test("gives every byte but the mark, however it is cut, and is whole", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (body, places) => {
        const { passed, whole } = read(Buffer.concat([body, mark]), places);
        expect(passed.equals(body)).toBe(true);
        expect(whole).toBe(true);
      }),
    );
  });

  test("is not whole when any byte of it is missing, and never gives one that was not there", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(), cuts, (body, missing, places) => {
        const all = Buffer.concat([body, mark]);
        const left = all.subarray(0, missing % all.byteLength);
        const { passed, whole } = read(left, places);
        expect(whole).toBe(false);
        expect(passed.equals(left.subarray(0, passed.byteLength))).toBe(true);
        expect(left.byteLength - passed.byteLength).toBeLessThanOrEqual(MARK_LENGTH);
      }),
    );
  });

  test("holds nothing back that cannot be the beginning of the mark", () => {
    const body = Buffer.alloc(100, (mark[0] ?? 0) ^ 1);
    expect(read(body, [1, 50, 51]).passed.equals(body)).toBe(true);
  });

  test("is not ended by the mark of another clearance", () => {
    const { whole } = read(Buffer.concat([Buffer.from("body"), endMark("another")]), []);
    expect(whole).toBe(false);
  });
});
