import { beforeAll, beforeEach, expect, test } from "vitest";
import { LINE_MAX } from "#durable/format/frame.ts";
import type { RequestTape } from "#durable/format/tape.ts";
import { acknowledged, alice, type LiveSession, openSession, request, verdict } from "./live-session.ts";
import { archive, clock, knowKey } from "./main.ts";

beforeAll(knowKey);
beforeEach(() => {
  clock.ahead = 0;
  archive.faults.length = 0;
});

async function sealedWhole(live: LiveSession): Promise<void> {
  await live.session.end("request");
  await live.sealed();
  const { integrity, completeness, findings } = await verdict(live.id);
  expect({ integrity, completeness, findings }).toEqual({
    integrity: "VALID",
    completeness: "COMPLETE",
    findings: [],
  });
}

const long = "a".repeat(LINE_MAX);
const decision = { verdict: "deny", policies: [], set: "0".repeat(64), reason: "", denied: [] } as const;

test.each([
  ["path", { path: `/${long}` }],
  ["header", { headers: [["user-agent", long]] as const }],
  ["decision", { decision: { ...decision, denied: [{ part: long, reason: "" }] } }],
  ["letters of three bytes", { path: `/${"€".repeat(LINE_MAX / 3)}` }],
])(
  "a request whose %s is too long for a line is refused, and leaves nothing in the record",
  async (_, over) => {
    const live = await openSession(`long ${_}`);
    await live.exchange();
    const tape = request(over);
    expect(await live.session.begin(live.id, alice, tape)).toMatchObject({ no: { code: "too_large" } });
    await live.exchange();
    await sealedWhole(live);
    expect(live.frames().filter((frame) => frame["x"] === tape.x)).toEqual([]);
  },
);

test("an exchange that begins while its session is being ended is refused, and is not in the record", async () => {
  const live = await openSession("race");
  await live.exchange();
  await live.forget();
  const tape = request();
  // With an opening the session first tells the directory of itself: the end comes meanwhile.
  const [begun, ended] = await Promise.all([
    live.session.begin(live.id, alice, tape),
    live.session.end("killed", "somebody"),
  ]);
  acknowledged(ended);
  expect(begun).toMatchObject({ no: { code: "session_ended" } });
  await sealedWhole(live);
  expect(live.frames().filter((frame) => frame["x"] === tape.x)).toEqual([]);
});

/** What is recorded of a push of `count` commits, none of them pushed before. */
function pushed(count: number, message = ""): RequestTape {
  const tape = request();
  const person = { author: "", committer: "", message, signed: false };
  const commits = Array.from({ length: count }, () => {
    const id = (next++).toString(16).padStart(40, "0");
    return { id, tree: id, parents: [], ...person };
  });
  const content = Array.from({ length: Math.ceil(count / 50) }, (_, i) => {
    return { k: "git", x: tape.x, commits: commits.slice(i * 50, i * 50 + 50) } as const;
  });
  return { ...tape, content };
}
let next = 1;

test("a push whose commits take more than a row holds is recorded", async () => {
  const live = await openSession("long push");
  const tape = pushed(15_000, "m".repeat(800));
  acknowledged(await live.session.begin(live.id, alice, tape));
  acknowledged(await live.session.respond(tape.x, { status: 200, headers: [], end: "complete" }));
  // Their packs are not recorded here, so nothing is asked of a verifier.
  await live.session.end("request");
  await live.sealed();
  expect(live.frames().filter((frame) => frame["k"] === "git")).toHaveLength(300);
});

test("a session that has pushed as many commits as its last head can name ends, and is sealed", async () => {
  const live = await openSession("many pushes");
  for (let i = 0; i < 2; i++) {
    const tape = pushed(12_500);
    acknowledged(await live.session.begin(live.id, alice, tape));
    acknowledged(await live.session.respond(tape.x, { status: 200, headers: [], end: "complete" }));
  }
  const more = await live.session.begin(live.id, alice, pushed(1));
  expect(more).toMatchObject({ no: { code: "session_ended" } });
  expect(await live.session.view()).toMatchObject({ reason: "max" });
  await live.sealed();
});
