/** What `steno verify` must say of an archive, one test for each thing, with the object and the reason it gives (EVIDENCE §6). */
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { CHECKPOINT, entryKey, framesName, SEAL_NAME } from "#durable/format/layout.ts";
import type { FindingCode } from "#durable/proof/finding.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { type VerifyOptions, verifyArchive } from "#durable/proof/verify/archive.ts";
import { goodArchive, inlineSession, longSession, now, pushBody, pushSession } from "./corpus.ts";
import { Archive, type Objects, ORIGIN, type Recording, source } from "./recording.ts";

let good: Objects;
let long: Recording;
/** Ledger entries of the good archive. */
let entries: number;

beforeAll(async () => {
  const archive = await goodArchive(pushBody(3));
  // The same session as in the archive: for its folder.
  long = await longSession(new Archive());
  good = archive.objects;
  entries = archive.next;
});

type Said = { readonly code: FindingCode; readonly object: string; readonly message: string };

async function findings(objects: Objects | Source, more: Partial<VerifyOptions> = {}): Promise<Said[]> {
  const from = objects instanceof Map ? source(objects) : objects;
  return [...(await verifyArchive(from, { now, ...more })).findings];
}

function expectSaid(said: readonly Said[], code: FindingCode, object: string, reason: RegExp): void {
  const found = said.filter((each) => each.code === code && each.object === object);
  expect(found, `${code} ${object} among ${JSON.stringify(said)}`).not.toEqual([]);
  expect(
    found.some(({ message }) => reason.test(message)),
    found[0]?.message,
  ).toBe(true);
}

const without = (gone: (key: string) => boolean): Objects => new Map([...good].filter(([key]) => !gone(key)));
const frames = (n: number): string => `${long.folder}${framesName(n)}`;
const seal = (): string => `${long.folder}${SEAL_NAME}`;

test("a byte of a stored object was flipped", async () => {
  const bytes = good.get(frames(1))?.slice() ?? new Uint8Array();
  bytes[30] = (bytes[30] ?? 0) ^ 4;
  const said = await findings(new Map(good).set(frames(1), bytes));
  expectSaid(
    said,
    "segment_altered",
    frames(1),
    /^sha256 [0-9a-f]{64}, the head says [0-9a-f]{64}; it does not decompress/,
  );
});

test("an object was deleted, whichever it is", async () => {
  for (const key of good.keys()) {
    // A partial tile that is no longer needed says nothing that newer ones do not say.
    if (/^log\/tile\/.*\.p\/\d+$/.test(key) && !key.endsWith(`.p/${entries}`)) continue;
    const said = await findings(without((each) => each === key));
    expect(
      said.map(({ code }) => code).some((code) => /_missing$/.test(code)),
      key,
    ).toBe(true);
  }
  expectSaid(
    await findings(without((key) => key === frames(2))),
    "object_missing",
    frames(2),
    /the head lists it/,
  );
});

test("the last frames of a session were dropped, with the segment or within it", async () => {
  expectSaid(
    await findings(without((key) => key === frames(3))),
    "object_missing",
    frames(3),
    /does not have it/,
  );
  const lines = zstdDecompressSync(good.get(frames(1)) ?? "")
    .toString()
    .trimEnd()
    .split("\n");
  const fewer = new Uint8Array(zstdCompressSync(`${lines.slice(0, -3).join("\n")}\n`));
  const said = await findings(new Map(good).set(frames(1), fewer));
  const reason = new RegExp(`it holds ${lines.length - 3} frames, the head says ${lines.length} frames`);
  expectSaid(said, "segment_altered", frames(1), reason);
});

test("the last entries of the log were dropped, with all that belongs to them", async () => {
  const said = await findings(without((key) => key === entryKey(entries - 1)));
  expectSaid(
    said,
    "entry_missing",
    entryKey(entries - 1),
    new RegExp(`the log has ${entries} entries, the archive`),
  );
});

test("two sessions were swapped", async () => {
  const [a = "", b = ""] = [
    ...new Set([...good.keys()].map((key) => /^sessions\/.*\//.exec(key)?.[0] ?? "")),
  ].filter(Boolean);
  const swapped = new Map(
    [...good].map(
      ([key, bytes]) => [key.startsWith(a) ? key.replace(a, b) : key.replace(b, a), bytes] as const,
    ),
  );
  expectSaid(
    await findings(swapped),
    "head_session",
    `${a}${SEAL_NAME}`,
    /the seal of ses_\w+ lies in the folder of ses_\w+/,
  );
});

test("a head is from another log", async () => {
  const archive = new Archive();
  await inlineSession(archive, {
    head: (head) => ({ ...head, head: { ...head.head, origin: `other.example/${head.session}` } }),
  });
  expectSaid(
    await findings(archive.objects, { origin: ORIGIN }),
    "head_origin",
    entryKey(0),
    /made for other\.example\/ses_/,
  );
});

test("an open head has no terminal one", async () => {
  const archive = new Archive();
  const open = archive.session(8);
  await open.begin();
  expectSaid(
    await findings(archive.objects),
    "session_open",
    open.folder,
    /no terminal head; the newest, in log\/entry\/0/,
  );
});

test("the log has a hole", async () => {
  const said = await findings(without((key) => key === entryKey(3)));
  expectSaid(said, "entry_missing", entryKey(3), /the ledger has a hole: index 3/);
});

test("the store keeps an object for less than was promised", async () => {
  const archive = new Archive();
  const recording = await inlineSession(archive, {
    head: (head) => ({ ...head, retention: { mode: "COMPLIANCE", days: 400 } }),
  });
  const base = source(archive.objects);
  const kept: Source = {
    ...base,
    stat: async (key) => {
      const known = await base.stat(key);
      return known && { ...known, mode: "COMPLIANCE", retainUntil: now + 86_400_000 };
    },
  };
  const said = await findings(kept, { retention: true });
  expectSaid(said, "retention_short", `${recording.folder}${SEAL_NAME}`, /kept until .*; promised until /);
});

test("the log does not extend a checkpoint that the auditor holds", async () => {
  const since = { origin: ORIGIN, size: 2, rootHash: Buffer.alloc(32, 7).toString("base64") };
  expectSaid(
    await findings(good, { since }),
    "log_not_extended",
    CHECKPOINT,
    /the first 2 entries do not have its root/,
  );
  const ahead = { ...since, size: entries + 5 };
  expectSaid(
    await findings(good, { since: ahead }),
    "log_not_extended",
    CHECKPOINT,
    /has seen \d+ entries; there are fewer/,
  );
});

test("a recording claims a commit that its pack does not contain", async () => {
  const archive = new Archive();
  const pushed = pushBody(2);
  const claimed = "c0ffee".padEnd(40, "0");
  const recording = await pushSession(archive, { ...pushed, commits: [...pushed.commits, claimed] });
  const said = await findings(archive.objects);
  expectSaid(
    said,
    "commit_missing",
    `${recording.folder}${framesName(0)}`,
    new RegExp(`claims commit ${claimed}`),
  );
  expectSaid(said, "commit_missing", recording.lastHead, new RegExp(`claims commit ${claimed}`));
});

test("nothing of the kind is said of the archive they are made of", async () => {
  expect((await findings(good)).map(({ code }) => code)).toEqual(["session_truncated"]);
  expect(good.has(seal())).toBe(true);
});
