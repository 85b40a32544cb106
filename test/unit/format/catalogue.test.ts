import { expect, test } from "vitest";
import { type Frame, frameLine } from "#durable/format/frame.ts";
import { toHex, utf8 } from "#durable/proof/bytes.ts";
import { leafHash } from "#durable/proof/merkle.ts";
import { shapeFrame } from "#durable/proof/read/shape.ts";
import vectors from "../../vectors/catalogue.json" with { type: "json" };

test.each(vectors)(
  "what a server offers is written, hashed and read as it ever was: frame $seq",
  (vector) => {
    const frame = vector.frame as unknown as Frame;
    const line = frameLine(vector.seq, vector.at, vector.salt, frame);
    expect(line).toBe(vector.line);
    expect(toHex(leafHash(utf8(line)))).toBe(vector.leaf);
    const { v: _, seq: __, t: ___, salt: ____, ...rest } = JSON.parse(line);
    expect(shapeFrame(rest)).toEqual({ frame });
  },
);
