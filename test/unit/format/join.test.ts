import { describe, expect, test } from "vitest";
import { type Frame, frameLine, type JoinFrame } from "#durable/format/frame.ts";
import type { ConnectionName, ExchangeId, SessionId } from "#durable/format/ids.ts";
import { completenessOf } from "#durable/format/join/completeness.ts";
import { beginJoin, endJoin, joinFrame } from "#durable/format/join/join.ts";
import { toHex, utf8 } from "#durable/proof/bytes.ts";
import { leafHash } from "#durable/proof/merkle.ts";
import { shapeFrame } from "#durable/proof/read/shape.ts";
import vectors from "../../vectors/join.json" with { type: "json" };

test.each(vectors)(
  "claims, and what became of them, are written, hashed and read as ever: frame $seq",
  (vector) => {
    const frame = vector.frame as unknown as Frame;
    const line = frameLine(vector.seq, vector.at, vector.salt, frame);
    expect(line).toBe(vector.line);
    expect(toHex(leafHash(utf8(line)))).toBe(vector.leaf);
    const { v: _, seq: __, t: ___, salt: ____, ...rest } = JSON.parse(line);
    expect(shapeFrame(rest)).toEqual({ frame });
  },
);

const id = (x: string): ExchangeId => `ex_${x}` as ExchangeId;
const start = (conversation?: string) =>
  beginJoin({
    k: "session.start",
    session: "ses_1" as SessionId,
    principal: { issuer: "https://id.example", subject: "alice", groups: [] },
    client: "cursor",
    ...(conversation !== undefined && { conversation }),
  });
const hook = (x: string, more: Partial<Frame & { k: "hook" }> = {}): Frame => ({
  k: "hook",
  x: id(x),
  event: "beforeMCPExecution",
  sizes: {},
  ...more,
});
const call = (input: string) => ({ of: "mcp.tools/call", input }) as const;
const answer = (x: string, refused = false): Frame => ({
  k: "response",
  x: id(x),
  status: 200,
  headers: [],
  ...(refused && { refusal: { code: "denied", message: "no" } }),
});
const claimed = (x: string, input: string, event = "beforeMCPExecution"): Frame[] => [
  hook(x, { event, claims: call(input) }),
  answer(x),
];
const called = (x: string, input: string): Frame => ({
  k: "mcp",
  x: id(x),
  dir: "c2s",
  read: "all",
  messages: [],
  input,
});
const git = (x: string, kind: "git.push" | "git.refs"): Frame => ({
  k: "request",
  x: id(x),
  connection: "code" as ConnectionName,
  operation: { kind, repository: "app", service: "git-receive-pack" } as never,
  method: "POST",
  path: "/",
  headers: [],
});
const pushing = (x: string, count: number): Frame[] => [
  hook(x, { event: "beforeShellExecution", claims: { of: "git.push", count } }),
  answer(x),
];

/** What is found, as `x found`, and the verdict. */
function joined(
  frames: readonly Frame[],
  {
    conversation = "c",
    end = "request",
    gaps = 0,
  }: {
    readonly conversation?: string | null;
    readonly end?: Parameters<typeof completenessOf>[2];
    readonly gaps?: number;
  } = {},
): { readonly found: readonly string[]; readonly said: string } {
  const join = start(conversation ?? undefined);
  const told: JoinFrame[] = [...frames.flatMap((frame) => joinFrame(join, frame)), ...endJoin(join)];
  const { verdict, reasons } = completenessOf(join, gaps, end);
  return {
    found: told.map(({ x, found, claim }) => `${x} ${found}${claim ? ` ${claim}` : ""}`),
    said: [verdict, ...reasons.map(({ reason, count }) => `${reason} ${count}`)].join(" "),
  };
}

describe("calls", () => {
  test("that were claimed and passed are matched, each once, in their order", () => {
    const frames = [
      ...claimed("h1", "a"),
      ...claimed("h2", "a"),
      ...claimed("h3", "b"),
      called("1", "b"),
      called("2", "a"),
      called("3", "a"),
    ];
    expect(joined(frames)).toEqual({
      found: ["ex_1 match ex_h3", "ex_2 match ex_h1", "ex_3 match ex_h2"],
      said: "COMPLETE",
    });
  });
  test("with other arguments than were claimed are told in both directions", () => {
    expect(joined([...claimed("h", "a"), called("1", "b")])).toEqual({
      found: ["ex_1 unclaimed", "ex_h unseen"],
      said: "INCOMPLETE claimed_not_seen 1 seen_not_claimed 1",
    });
  });
  test("that a hook was told not to make are no claim: made all the same, they are unclaimed", () => {
    expect(joined([hook("h", { claims: call("a") }), answer("h", true), called("1", "a")])).toEqual({
      found: ["ex_1 unclaimed"],
      said: "DEGRADED seen_not_claimed 1",
    });
  });
  test("that two events tell of are one claim", () => {
    const frames = [
      ...claimed("h1", "a", "preToolUse"),
      ...claimed("h2", "a", "beforeMCPExecution"),
      called("1", "a"),
    ];
    expect(joined(frames)).toEqual({ found: ["ex_1 match ex_h1"], said: "COMPLETE" });
  });
});

describe("pushes", () => {
  test("of one command line are as many as it says", () => {
    const frames = [...pushing("h", 2), git("1", "git.refs"), git("2", "git.push"), git("3", "git.refs")];
    expect(joined([...frames, git("4", "git.push")])).toEqual({
      found: ["ex_2 match ex_h", "ex_4 match ex_h"],
      said: "COMPLETE",
    });
  });
  test("that git found nothing to send in were begun, which is enough", () => {
    expect(joined([...pushing("h", 1), git("1", "git.refs")]).said).toBe("COMPLETE");
  });
  test("that never began here may have gone elsewhere", () => {
    expect(joined(pushing("h", 1))).toEqual({
      found: ["ex_h unseen"],
      said: "INCOMPLETE claimed_not_seen 1",
    });
  });
});

test("more claims than are kept lose the oldest, which is told and counted", () => {
  const frames = Array.from({ length: 66 }, (_, i) => claimed(`h${i}`, `${i}`)).flat();
  const { found, said } = joined(frames);
  expect(found.slice(0, 2)).toEqual(["ex_h0 unseen", "ex_h1 unseen"]);
  expect(said).toBe("INCOMPLETE claimed_not_seen 66");
});

test.each([
  ["a conversation in which no hook spoke", [called("1", "a")], {}, "DEGRADED hooks_missing 1"],
  [
    "a client without a conversation and without hooks",
    [called("1", "a")],
    { conversation: null },
    "COMPLETE",
  ],
  ["an agent that fell silent", [hook("h")], { end: "idle" }, "DEGRADED not_ended 1"],
  ["one that is older than a session may be", [hook("h")], { end: "max" }, "DEGRADED not_ended 1"],
  ["one that an operator ended", [hook("h")], { end: "killed" }, "COMPLETE"],
  ["a recorder that stopped", [], { end: "truncated" }, "DEGRADED truncated 1"],
  ["a recorder that lost something", [], { gaps: 2 }, "DEGRADED recorder_gap 2"],
] as const)("%s", (_, frames, how, said) => {
  expect(joined(frames, how).said).toBe(said);
});
