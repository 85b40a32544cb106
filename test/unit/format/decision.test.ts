import { expect, test } from "vitest";
import { type Frame, frameLine } from "#durable/format/frame.ts";
import { toHex, utf8 } from "#durable/proof/bytes.ts";
import { leafHash } from "#durable/proof/merkle.ts";
import { shapeFrame } from "#durable/proof/read/shape.ts";
import approvals from "../../vectors/approval.json" with { type: "json" };
import decisions from "../../vectors/decision.json" with { type: "json" };

test.each([...decisions, ...approvals])(
  "a $frame.k frame that says $frame.verdict $frame.step is written, hashed and read as it ever was",
  (vector) => {
    const frame = vector.frame as unknown as Frame;
    const line = frameLine(vector.seq, vector.at, vector.salt, frame);
    expect(line).toBe(vector.line);
    expect(toHex(leafHash(utf8(line)))).toBe(vector.leaf);
    const { v: _, seq: __, t: ___, salt: ____, ...rest } = JSON.parse(line);
    expect(shapeFrame(rest)).toEqual({ frame });
  },
);
