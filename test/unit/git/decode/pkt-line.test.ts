import fc from "fast-check";
import { expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import {
  concat,
  FLUSH,
  lineOf,
  PACKET_MAX,
  type Packet,
  PacketReader,
  packet,
  readPacket,
  sideband,
} from "#workers/adapters/git/pkt-line.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const malformed = expect.objectContaining({ code: "malformed" });

function readAll(chunks: readonly Uint8Array[]): { packets: Packet[]; rest: Uint8Array } {
  const reader = new PacketReader();
  const packets: Packet[] = [];
  for (const chunk of chunks) {
    reader.feed(chunk);
    for (let next = reader.next(); next; next = reader.next()) packets.push(next);
  }
  return { packets, rest: reader.rest() };
}

const anyPacket = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((payload) => packet(payload)),
  fc.constantFrom("0000", "0001", "0002").map(bytes),
);

test("packets are the same however their bytes are split", () => {
  const run = fc.property(
    fc.array(anyPacket),
    fc.uint8Array({ maxLength: 3 }),
    fc.array(fc.nat(50)),
    (packets, tail, sizes) => {
      const all = concat([...packets, tail.map(() => 0x30)]);
      const chunks: Uint8Array[] = [];
      let at = 0;
      for (const size of sizes) {
        chunks.push(all.subarray(at, at + size));
        at += size;
      }
      chunks.push(all.subarray(at));
      const whole = readAll([all]);
      const split = readAll(chunks);
      expect(split).toEqual(whole);
      expect(whole.packets).toHaveLength(packets.length);
      expect(whole.rest).toHaveLength(tail.byteLength);
    },
  );
  fc.assert(run);
});

test("any bytes are packets, wait for more, or are refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (some) => {
      try {
        readAll([some]);
        return true;
      } catch (thrown) {
        return thrown instanceof Refusal;
      }
    }),
  );
});

test.each(["0003", "fff1", "ffff", "00g0", "-001", "0x04", " 004", "+004"])(
  "a length of %j is refused before its payload comes",
  (length) => {
    expect(() => readPacket(bytes(length), 0)).toThrow(malformed);
  },
);

test("the longest packet and the empty one are read, and none longer is written", () => {
  const longest = packet(new Uint8Array(PACKET_MAX - 4));
  expect(readPacket(longest, 0)?.end).toBe(PACKET_MAX);
  expect(readPacket(bytes("0004"), 0)).toEqual({
    packet: { kind: "data", payload: new Uint8Array(0) },
    end: 4,
  });
  expect(() => packet(new Uint8Array(PACKET_MAX - 3))).toThrow(RangeError);
});

test("a server's broken packets are the server's fault", () => {
  const reader = new PacketReader("upstream_protocol");
  reader.feed(bytes("<htm"));
  expect(() => reader.next()).toThrow(expect.objectContaining({ code: "upstream_protocol" }));
});

test("lines that cannot be written down exactly are refused", () => {
  expect(lineOf(bytes("want x\n"))).toBe("want x");
  expect(lineOf(bytes("\ufeffx"))).toBe("\ufeffx");
  expect(() => lineOf(Uint8Array.of(0x77, 0xff))).toThrow(malformed);
  expect(() => lineOf(bytes("a\0b"))).toThrow(malformed);
});

test("long sideband text is cut into packets that fit", () => {
  const text = new Uint8Array(200_000).fill(65);
  const { packets } = readAll([sideband(2, text), FLUSH]);
  const parts = packets.flatMap((item) => (item.kind === "data" ? [item.payload] : []));
  expect(parts.every((part) => part[0] === 2 && part.byteLength <= PACKET_MAX - 4)).toBe(true);
  expect(concat(parts.map((part) => part.subarray(1)))).toEqual(text);
});
