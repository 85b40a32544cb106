/** What the verifier says of a session's claims: it makes the join again, and takes nobody's word for it. */
import { describe, expect, test } from "vitest";
import type { EndReason, Frame, JoinFrame } from "#durable/format/frame.ts";
import type { Head } from "#durable/format/head.ts";
import { completenessOf } from "#durable/format/join/completeness.ts";
import { beginJoin, endJoin, joinFrame } from "#durable/format/join/join.ts";
import { codes, found } from "./corpus.ts";
import type { Archive, Bend, Recording } from "./recording.ts";

const INPUT = "a".repeat(64);

/** As a recorder writes: each frame, then what follows from it; and a last head that says the verdict. */
function joining(
  archive: Archive,
  bend: Bend = {},
  end: EndReason = "request",
  kept: (frame: JoinFrame) => boolean = () => true,
) {
  const frames: Frame[] = [];
  const recording = archive.session(9, {
    ...bend,
    head: (head) => bend.head?.(judged(head, frames, end)) ?? judged(head, frames, end),
  });
  const write = recording.write.bind(recording);
  let join: ReturnType<typeof beginJoin> | undefined;
  recording.write = (frame, salt) => {
    if (join && frame.k === "session.end") for (const last of endJoin(join).filter(kept)) write(last);
    write(frame.k === "session.end" ? { ...frame, reason: end } : frame, salt);
    frames.push(frame);
    if (frame.k === "session.start") join = beginJoin(frame);
    else if (join) for (const next of joinFrame(join, frame).filter(kept)) write(next);
  };
  return recording;
}

function judged(head: Head, frames: readonly Frame[], end: EndReason): Head {
  if (head.status === "open") return head;
  let join: ReturnType<typeof beginJoin> | undefined;
  for (const frame of frames)
    if (frame.k === "session.start") join = beginJoin(frame);
    else if (join) joinFrame(join, frame);
  if (!join) return head;
  endJoin(join);
  return { ...head, reason: end, completeness: completenessOf(join, 0, end) };
}

function hook(recording: Recording, input = INPUT): void {
  const x = recording.exchange();
  recording.request(x);
  recording.write({
    k: "hook",
    x,
    event: "beforeMCPExecution",
    sizes: {},
    claims: { of: "mcp.tools/call", input },
  });
  recording.end(x, "c2s", 0);
  recording.respond(x);
  recording.end(x, "s2c", 0);
}

function call(recording: Recording, input = INPUT): void {
  const x = recording.exchange();
  recording.request(x);
  recording.write({ k: "mcp", x, dir: "c2s", read: "all", messages: [], input });
  recording.end(x, "c2s", 0);
  recording.respond(x);
  recording.end(x, "s2c", 0);
}

const recorded = async (
  write: (recording: Recording) => void,
  bend: Bend = {},
  end: EndReason = "request",
) => {
  const { verified } = await found(async (archive) => {
    const recording = joining(archive, bend, end);
    await recording.begin();
    write(recording);
    await recording.close();
    return recording;
  });
  return verified;
};
const completed = (change: Partial<NonNullable<Head["completeness"]>>): Bend => ({
  head: (head) => (head.completeness ? { ...head, completeness: { ...head.completeness, ...change } } : head),
});

describe("of a session whose hooks claim what it does", () => {
  test("nothing is found when each claim was seen", async () => {
    const verified = await recorded((recording) => {
      hook(recording);
      call(recording);
    });
    expect(codes(verified)).toEqual([]);
  });

  test.each<[string, string, (recording: Recording) => void]>([
    ["a claim that never passed", "session_unseen", (recording) => hook(recording)],
    [
      "a call that nobody claimed",
      "session_unclaimed",
      (recording) => {
        hook(recording);
        call(recording);
        call(recording, "b".repeat(64));
      },
    ],
  ])("%s is told: %s", async (_, code, write) => {
    expect(codes(await recorded(write))).toEqual([code]);
  });

  test("an end that no hook told of is told", async () => {
    const silent = (recording: Recording) => {
      hook(recording);
      call(recording);
    };
    expect(codes(await recorded(silent, {}, "idle"))).toEqual(["session_unended"]);
  });

  test("calls of a conversation in which no hook spoke are told", async () => {
    const { verified } = await found(async (archive) => {
      const recording = joining(archive);
      const principal = { issuer: "https://id.example", subject: "u-1", groups: ["devs"] };
      const { session } = recording;
      recording.write({ k: "session.start", session, principal, client: "cursor", conversation: "c-1" });
      await recording.head("open");
      call(recording);
      await recording.close();
      return recording;
    });
    expect(codes(verified)).toEqual(["session_unhooked"]);
  });
});

describe("a recorder that says otherwise than its frames", () => {
  test.each<[string, Bend]>([
    ["is complete", completed({ verdict: "COMPLETE", reasons: [] })],
    ["has seen a claim more", completed({ matched: 1 })],
    ["has heard no hook", completed({ hooks: 0 })],
  ])("when its head says it %s: head_completeness", async (_, bend) => {
    expect(codes(await recorded((recording) => hook(recording), bend))).toContain("head_completeness");
  });

  test.each<[string, Bend]>([
    [
      "makes a match of what was never seen",
      {
        line: (line) => line.replace('"found":"unseen"', '"found":"match"'),
      },
    ],
    [
      "names another call",
      { line: (line) => line.replace('"of":"mcp.tools/call","found"', '"of":"git.push","found"') },
    ],
  ])("when it %s: join_differs", async (_, bend) => {
    expect(codes(await recorded((recording) => hook(recording), bend))).toContain("join_differs");
  });

  test("when it leaves out what follows: join_differs", async () => {
    const { verified } = await found(async (archive) => {
      const recording = joining(archive, {}, "request", () => false);
      await recording.begin();
      hook(recording);
      await recording.close();
      return recording;
    });
    expect(codes(verified)).toContain("join_differs");
  });
});
