// Frames as a bad recorder may write them: one text in every member that takes one, and members that are no text at all.
import type { Frame } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import { utf8 } from "#durable/proof/bytes.ts";

export function hostileFrames(x: ExchangeId, evil: string): Frame[] {
  const length = utf8(evil).byteLength;
  const update = { ref: evil, old: evil, new: evil, change: evil };
  return [
    {
      k: "request",
      x,
      connection: evil,
      method: evil,
      path: evil,
      headers: [[evil, evil]],
      operation: { kind: evil, repository: evil, updates: [update], options: [evil] },
    },
    {
      k: "git",
      x,
      updates: [update],
      commits: [
        {
          id: "0".repeat(40),
          tree: evil,
          parents: [evil],
          author: evil,
          committer: evil,
          message: `${evil}\n\n${evil}`,
          signed: evil,
        },
      ],
    },
    {
      k: "decision",
      x,
      verdict: "deny",
      policies: [evil],
      set: evil,
      reason: evil,
      denied: [{ part: evil, reason: evil }, null, 7],
    },
    {
      k: "response",
      x,
      status: 403,
      headers: [[evil, evil]],
      refusal: { code: evil, message: evil, cause: evil },
    },
    { k: "data", x, dir: "s2c", off: 0, d: evil },
    { k: "data", x, dir: "s2c", off: length, end: evil },
    { k: "gap", cause: evil, exchanges: [x, evil], missing: evil },
    { k: "approval", x, comment: evil },
    { k: evil, reason: evil },
    { k: "git", x, commits: [{ id: "1".repeat(40), author: { evil }, message: 7 }], updates: null },
  ] as unknown as Frame[];
}
