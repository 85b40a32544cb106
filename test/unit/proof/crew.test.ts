/** The verifier with threads: what it says must not depend on who did the work, or in which order it was done. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { framesName } from "#durable/format/layout.ts";
import { ahead } from "#durable/proof/verify/ahead.ts";
import { type Verified, type VerifyOptions, verifyArchive } from "#durable/proof/verify/archive.ts";
import type { Crew } from "#durable/proof/verify/crew.ts";
import { type Gathered, gather } from "#scripts/verify/crew.ts";
import { folderSource } from "#scripts/verify/folder.ts";
import { progressBar } from "#scripts/verify/progress.ts";
import { goodArchive, inlineSession, now, push, pushBody } from "./corpus.ts";
import type { Archive, Objects, Recording } from "./recording.ts";

let top: string;
let root: string;
let good: Objects;
let long: Recording;
const gathered: Gathered[] = [];

/** A session of six segments, so that it is spread over the threads; a push lies across two of them. */
async function spread(archive: Archive): Promise<Recording> {
  const recording = archive.session(7);
  await recording.begin();
  for (let i = 0; i < 5; i++) {
    for (let talk = 0; talk < 40; talk++) recording.talk(`part ${i} of a longer answer, ${talk}\n`);
    if (i === 2) push(recording, pushBody(3));
    recording.cutFrames();
    recording.cutBytes();
    if (i % 2 === 0) await recording.head("progress");
  }
  await recording.close();
  return recording;
}

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), "steno-"));
  const archive = await goodArchive(pushBody(4));
  long = await spread(archive);
  for (let n = 10; n < 38; n++) await inlineSession(archive, {}, n);
  good = archive.objects;
  root = write("good", good);
});
afterAll(async () => {
  for (const each of gathered) await each.dismiss();
  rmSync(top, { recursive: true });
});

function write(name: string, objects: Objects): string {
  for (const [key, bytes] of objects) {
    mkdirSync(join(top, name, dirname(key)), { recursive: true });
    writeFileSync(join(top, name, key), bytes);
  }
  return join(top, name);
}

/** `given` counts what was given away. */
function verify(
  at: string,
  more: Partial<VerifyOptions> = {},
  given = { session: 0, segment: 0 },
): Promise<Verified> {
  const own = gather({ kind: "folder", root: at }, 2);
  gathered.push(own);
  const crew = (seed: Parameters<typeof own.crew>[0]): Crew => {
    const { width, session, segment } = own.crew(seed);
    return {
      width,
      session(place) {
        given.session += 1;
        return session(place);
      },
      segment(task) {
        given.segment += 1;
        return segment(task);
      },
    };
  };
  return verifyArchive(folderSource(at), { now, crew, ...more });
}

const alone = (at: string, more: Partial<VerifyOptions> = {}) =>
  verifyArchive(folderSource(at), { now, ...more });

test("threads verify sessions, and segments of a large one, and come to what one thread comes to", async () => {
  const given = { session: 0, segment: 0 };
  const verified = await verify(root, {}, given);
  expect(given).toEqual({ session: 32, segment: 10 });
  expect(verified).toEqual(await alone(root));
  expect(verified).toMatchObject({ integrity: "VALID", completeness: "DEGRADED", sessions: 34 });
});

test("what is wrong in many places is said in the same order, by however many threads it was found", async () => {
  const bad: Objects = new Map(good);
  for (const key of good.keys()) {
    const bytes = good.get(key)?.slice() ?? new Uint8Array();
    const at = key.length % 3 === 0 ? bytes.byteLength >> 1 : undefined;
    if (!key.startsWith("sessions/") || at === undefined) continue;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    bad.set(key, bytes);
  }
  bad.delete(`${long.folder}${framesName(3)}`);
  const at = write("bad", bad);
  rmSync(join(at, `${long.folder}${framesName(3)}`), { force: true });
  const verified = await verify(at);
  expect(verified.findings.length).toBeGreaterThan(10);
  expect(verified).toEqual(await alone(at));
  expect(verified.findings.map(({ code }) => code)).toContain("object_missing");
});

test("a thread that cannot read what it was given is an error of the whole, not a verdict", async () => {
  const own = gather({ kind: "folder", root: join(top, "nowhere") }, 2);
  gathered.push(own);
  // The threads look somewhere else than the verifier: what they are asked for is not there, which they find.
  const elsewhere = await verifyArchive(folderSource(root), { now, crew: own.crew });
  expect(elsewhere.integrity).toBe("VALID");
  expect(elsewhere.completeness).toBe("INCOMPLETE");
  const broken = gather({ kind: "bucket", url: "s3://", options: { env: {} } }, 2);
  gathered.push(broken);
  await expect(verifyArchive(folderSource(root), { now, crew: broken.crew })).rejects.toThrow(
    "a thread of the verifier ended before it was done",
  );
});

test("one day's sessions are verified, and the whole log with them", async () => {
  const verified = await verify(root, { day: "2026-11-22" });
  expect(verified).toMatchObject({ sessions: 34, log: { size: expect.any(Number) as number } });
  const none = await alone(root, { day: "2026-11-23" });
  expect(none).toMatchObject({ sessions: 0, frames: 0, integrity: "VALID", completeness: "COMPLETE" });
  expect(none.log).toEqual(verified.log);
});

test("progress is of the log first, then of the sessions, never back, and ends at all of it", async () => {
  const told: { what: string; done: number; of: number }[] = [];
  await verify(root, { progress: (at) => told.push(at) });
  const whats = told.map(({ what }) => what);
  expect(whats.lastIndexOf("log")).toBeLessThan(whats.indexOf("sessions"));
  for (const what of ["log", "sessions"]) {
    const dones = told.filter((each) => each.what === what).map(({ done }) => done);
    expect(dones).toEqual(dones.toSorted((a, b) => a - b));
    expect(dones.at(-1)).toBe(told.find((each) => each.what === what)?.of);
  }
});

test("a bar is drawn on a terminal, after a while, and wiped out; nowhere else", () => {
  for (const isTTY of [true, false]) {
    let clock = 0;
    const written: string[] = [];
    const bar = progressBar({ isTTY, write: (text) => written.push(text) }, () => clock);
    bar.show({ what: "log", done: 1, of: 10 });
    expect(written).toEqual([]);
    clock = 5_000;
    bar.show({ what: "sessions", done: 5_000_000, of: 10_000_000 });
    bar.show({ what: "sessions", done: 5_000_001, of: 10_000_000 });
    bar.wipe();
    expect(written.length).toBe(isTTY ? 2 : 0);
    if (isTTY) expect(written[0]).toContain("sessions ############............ 50 % 5.0 of 10.0 MB");
  }
});

test("work that is begun ahead is taken in order, so much at once, and fails in its turn", async () => {
  let [running, most] = [0, 0];
  const work = async (n: number) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, (n * 7) % 5));
    running -= 1;
    if (n === 12) throw new Error("the twelfth");
    return n;
  };
  const taken: number[] = [];
  const taking = async () => {
    for await (const n of ahead(
      3,
      Array.from({ length: 20 }, (_, i) => i),
      work,
    ))
      taken.push(n);
  };
  await expect(taking()).rejects.toThrow("the twelfth");
  expect(taken).toEqual(Array.from({ length: 12 }, (_, i) => i));
  expect(most).toBeLessThanOrEqual(4);
});
