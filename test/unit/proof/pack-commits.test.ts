import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, utf8 } from "#durable/proof/bytes.ts";
import {
  applyDelta,
  PackMalformed,
  PackTooLarge,
  readPush,
} from "#durable/proof/verify/tape/pack-commits.ts";
import { pushBody } from "./corpus.ts";

const pushed = pushBody(12);
const sorted = (ids: Iterable<string>): string[] => [...ids].sort();

describe("a push of stock git", () => {
  test.each([
    ["to an empty repository", pushed],
    ["with deltas by name", pushBody(12, "sha1", 0, [])],
    ["thin, on top of commits that are there already", pushBody(8, "sha1", 6, [])],
    ["of SHA-256 objects", pushBody(6, "sha256")],
  ])("%s has the commits git says it has, and its commands", (_, { body, commits, updates }) => {
    const content = readPush(body);
    expect(sorted(content.commits)).toEqual(sorted(commits));
    const { ref, old, new: tip } = updates[0] ?? { ref: "", old: "", new: "" };
    expect(content.commands).toEqual([{ ref, old, new: tip }]);
    expect(content.objects).toBeGreaterThan(commits.length);
  });

  test("of nothing but a deleted branch has no pack and no commits", () => {
    const command = `${"1".repeat(40)} ${"0".repeat(40)} refs/heads/old\0 report-status`;
    const body = utf8(`${(command.length + 4).toString(16).padStart(4, "0")}${command}0000`);
    expect(readPush(body)).toMatchObject({
      commits: new Set(),
      objects: 0,
      commands: [{ ref: "refs/heads/old" }],
    });
  });

  test("with push options has its pack after them", () => {
    const at = Buffer.from(pushed.body).indexOf("PACK");
    const [commands, pack] = [pushed.body.subarray(0, at), pushed.body.subarray(at)];
    expect(sorted(readPush(concat([commands, utf8("000bci.skip0000"), pack])).commits)).toEqual(
      sorted(pushed.commits),
    );
    expect(() => readPush(concat([commands, utf8("000dci.ski")]))).toThrow(PackMalformed);
  });
});

describe("a damaged push", () => {
  test("is refused wherever it ends", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: pushed.body.byteLength - 1 }), (end) => {
        const start = Buffer.from(pushed.body).indexOf("PACK");
        if (end === start) return true;
        expect(() => readPush(pushed.body.subarray(0, end))).toThrow(PackMalformed);
        return true;
      }),
    );
  });

  test("is refused when it ends with its last command", () => {
    const start = Buffer.from(pushed.body).indexOf("PACK");
    expect(() => readPush(pushed.body.subarray(0, start - 4))).toThrow(PackMalformed);
  });

  test("is refused wherever a byte of its pack is flipped", () => {
    const start = Buffer.from(pushed.body).indexOf("PACK");
    fc.assert(
      fc.property(fc.integer({ min: start + 4, max: pushed.body.byteLength - 1 }), fc.nat(7), (at, bit) => {
        const bent = pushed.body.slice();
        bent[at] = (bent[at] ?? 0) ^ (1 << bit);
        try {
          readPush(bent);
          return false;
        } catch (error) {
          return error instanceof PackMalformed || error instanceof PackTooLarge;
        }
      }),
    );
  });

  test("of any bytes is read or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, pack) => {
        const body = pack
          ? concat([utf8("0000PACK\0\0\0\u0002"), new Uint8Array(bytes)])
          : new Uint8Array(bytes);
        try {
          return readPush(body).commits.size === 0;
        } catch (error) {
          return error instanceof PackMalformed || error instanceof PackTooLarge;
        }
      }),
    );
  });

  test("of an object larger than may be held is not inflated", () => {
    expect(() => readPush(pushed.body, 100)).toThrow(PackTooLarge);
  });
});

describe("a delta", () => {
  const base = utf8("hello, world");

  test("copies from its base and inserts", () => {
    const delta = new Uint8Array([12, 9, 0x91, 7, 5, 4, ...utf8("! ok")]);
    expect(new TextDecoder().decode(applyDelta(base, delta, 100))).toBe("world! ok");
  });

  test.each([
    ["for another base", [11, 1, 1, 0x41]],
    ["that makes less than it says", [12, 2, 1, 0x41]],
    ["that makes more than it says", [12, 1, 2, 0x41, 0x41]],
    ["that copies from beyond its base", [12, 5, 0x91, 10, 5]],
    ["that ends within an instruction", [12, 5, 0x91, 10]],
    ["with the instruction that is reserved", [12, 1, 0]],
  ])("%s is refused", (_, bytes) => {
    expect(() => applyDelta(base, new Uint8Array(bytes), 100)).toThrow(PackMalformed);
  });

  test("that makes more than may be held is refused before it is made", () => {
    expect(() => applyDelta(base, new Uint8Array([12, 0x80, 0x10]), 100)).toThrow(PackTooLarge);
  });
});
