/** Recordings that are signed, sealed and logged as they should be, and still are not what they say. */
import { describe, expect, test } from "vitest";
import type { Head } from "#durable/format/head.ts";
import { entryKey } from "#durable/format/layout.ts";
import { type Bytes, toBase64, utf8 } from "#durable/proof/bytes.ts";
import type { FindingCode } from "#durable/proof/finding.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { codes, found, inlineSession, longSession, now, session } from "./corpus.ts";
import { Archive, type Bend, fill, START, source } from "./recording.ts";

const replaced = (seq: number, from: string | RegExp, to: string): Bend => ({
  line: (line, at) => (at === seq ? line.replace(from, to) : line),
});
const headed = (n: number, change: (head: Head) => Partial<Head>): Bend => ({
  head: (head) => (head.n === n ? { ...head, ...change(head) } : head),
});
const other = toBase64(fill(32, 5));

type Case = readonly [name: string, bend: Bend, code: FindingCode];

const lines: readonly Case[] = [
  ["has a space in its prefix", replaced(2, ",", ", "), "frame_prefix"],
  ["has another version", replaced(2, '"v":1', '"v":2'), "frame_prefix"],
  ["has a time that is none", replaced(2, /"t":"[^"]*"/, '"t":"2026-13-22T07:00:00.000Z"'), "frame_prefix"],
  ["has a short salt", replaced(2, /"salt":"..../, '"salt":"'), "frame_prefix"],
  ["says its place again, and another one", replaced(2, '"k":', '"seq":7,"k":'), "frame_prefix"],
  ["has another's place", replaced(2, '"seq":2', '"seq":3'), "frame_sequence"],
  ["is earlier than the one before it", { at: (seq) => START - seq * 1000 }, "frame_time"],
  ["is longer than a line may be", replaced(2, '"k":', `"pad":"${"x".repeat(65_536)}","k":`), "frame_size"],
  [
    "is not UTF-8",
    {
      line: (line, at) =>
        at === 2 ? new Uint8Array([...utf8(line).subarray(0, -2), 0xff, 0x22, 0x7d]) : line,
    },
    "frame_encoding",
  ],
  ["is not JSON", { line: (line, at) => (at === 2 ? `${line}}` : line) }, "frame_shape"],
  ["lacks what its kind has", replaced(2, '"verdict"', '"view"'), "frame_shape"],
  ["is of a kind nobody knows", replaced(2, '"k":"decision"', '"k":"guess"'), "frame_kind"],
  [
    "starts the session again",
    replaced(
      1,
      '"k":"request"',
      '"k":"session.start","session":"ses_01JD0000000000000000000000","principal":{"issuer":"","subject":""},"client":""',
    ),
    "frame_place",
  ],
  ["is of another session", replaced(0, /"session":"ses_./, '"session":"ses_7'), "head_session"],
  [
    "ends the session before its end",
    replaced(3, '"k":"data"', '"k":"session.end","reason":"x"'),
    "frame_place",
  ],
];

const heads: readonly Case[] = [
  ["has another root", headed(3, ({ head }) => ({ head: { ...head, rootHash: other } })), "head_root"],
  [
    "of a progress has another root",
    headed(1, ({ head }) => ({ head: { ...head, rootHash: other } })),
    "head_root",
  ],
  [
    "of a progress is not extended by the next",
    headed(1, ({ head }) => ({ head: { ...head, rootHash: other } })),
    "head_consistency",
  ],
  [
    "has a consistency proof of something else",
    headed(2, ({ previous }) => ({ previous: previous && { ...previous, consistency: [other] } })),
    "head_consistency",
  ],
  [
    "names another head as the one before",
    headed(2, ({ previous }) => ({ previous: previous && { ...previous, size: previous.size - 1 } })),
    "head_previous",
  ],
  ["names none before it", headed(2, () => ({ previous: undefined })), "head_previous"],
  [
    "is made for another ledger",
    headed(2, ({ session }) => ({ head: { origin: `x.example/${session}`, size: 1, rootHash: other } })),
    "head_origin",
  ],
  [
    "is made for another session",
    headed(2, ({ head }) => ({ head: { ...head, origin: `${head.origin}X` } })),
    "head_origin",
  ],
  ["skips a number", headed(3, () => ({ n: 7 })), "entry_missing"],
  ["has the number of an earlier one", headed(3, () => ({ n: 2 })), "entry_duplicate"],
  ["is open, and not the first", headed(2, () => ({ status: "open" })), "head_sequence"],
  ["follows the terminal one", headed(2, () => ({ status: "closed" })), "head_sequence"],
  [
    "counts a frame more",
    headed(3, ({ counts }) => ({ counts: { ...counts, frames: counts.frames + 1 } })),
    "head_counts",
  ],
  [
    "counts an exchange less",
    headed(3, ({ counts }) => ({ counts: { ...counts, exchanges: 1 } })),
    "head_counts",
  ],
  [
    "of a progress counts other bytes",
    headed(1, ({ counts }) => ({ counts: { ...counts, s2c: 0 } })),
    "head_counts",
  ],
  [
    "names a policy set that decided nothing",
    headed(3, ({ gateway }) => ({ gateway: { ...gateway, policy: { sha256: "9".repeat(64) } } })),
    "head_policy",
  ],
  ["leaves out a segment", headed(3, ({ segments }) => ({ segments: segments.slice(1) })), "head_segments"],
  [
    "has segments whose frames do not follow",
    headed(3, ({ segments }) => ({
      segments: segments.map((s) => (s.firstFrame ? { ...s, firstFrame: s.firstFrame + 1 } : s)),
    })),
    "head_segments",
  ],
  [
    "has a segment otherwise than an earlier one",
    headed(1, ({ segments }) => ({ segments: segments.map((s) => ({ ...s, bytes: s.bytes + 1 })) })),
    "head_segments",
  ],
  [
    "has another range for a segment",
    headed(3, ({ segments }) => ({
      segments: segments.map((s) => (s.range ? { ...s, range: s.range.map(() => other) } : s)),
    })),
    "segment_range",
  ],
  [
    "is truncated, and its frames end as they should",
    headed(3, () => ({ status: "truncated" })),
    "frame_place",
  ],
];

describe("a frame of a sealed session that", () => {
  test.each(lines)("%s is found", async (_, bend, code) => {
    const { verified, recording } = await found((archive) => inlineSession(archive, bend));
    expect(codes(verified)).toContain(code);
    expect(verified.findings.find((finding) => finding.code === code)?.object).toBe(
      `${recording.folder}frames-000000.ndjson.zst`,
    );
  });
});

describe("a signed head that", () => {
  test.each(heads)("%s is found", async (_, bend, code) => {
    const { verified } = await found((archive) => longSession(archive, bend));
    expect(codes(verified)).toContain(code);
  });

  test.each([
    ["leaves a segment out of its subjects", { subjects: (subjects) => subjects.slice(1) }],
    [
      "has a subject that is none of its segments",
      { subjects: (all) => [...all, { name: "x", digest: { sha256: "0".repeat(64) } }] },
    ],
    [
      "has a subject with another digest",
      { subjects: (all) => all.map((one) => ({ ...one, digest: { sha256: "0".repeat(64) } })) },
    ],
  ] satisfies [string, Bend][])("%s is found", async (_, bend) => {
    const { verified, recording } = await found((archive) => inlineSession(archive, bend));
    const subjects = verified.findings.filter(({ code }) => code === "head_subjects");
    expect(subjects.map(({ object }) => object)).toContain(recording.lastHead);
  });

  test("has ranges that do not make its root is found without reading a frame", async () => {
    const bend = headed(3, ({ head }) => ({ head: { ...head, rootHash: other } }));
    const { verified } = await found((archive) => longSession(archive, bend));
    expect(verified.findings.map(({ message }) => message)).toContain(
      "the hashes of its segments do not make its root",
    );
  });

  test("is not signed by the key is found in the ledger", async () => {
    const archive = new Archive();
    await inlineSession(archive);
    const bundle = JSON.parse(new TextDecoder().decode(archive.objects.get(entryKey(1)))) as {
      dsseEnvelope: { signatures: { sig: string }[] };
    };
    const stolen = JSON.parse(new TextDecoder().decode(archive.objects.get(entryKey(0)))) as typeof bundle;
    bundle.dsseEnvelope.signatures = stolen.dsseEnvelope.signatures;
    archive.objects.set(entryKey(1), utf8(JSON.stringify(bundle)));
    const verified = await verifyArchive(source(archive.objects), { now });
    expect(verified.findings.map(({ code, object }) => `${code} ${object}`)).toContain(
      `head_signature ${entryKey(1)}`,
    );
  });
});

describe("a segment that was sealed damaged", () => {
  test.each([
    ["is no zstd", (lines: Bytes) => lines, "segment_unreadable"],
    ["is empty", () => new Uint8Array(), "segment_unreadable"],
  ] as const)("%s is found", async (_, packed, code) => {
    expect(codes((await found((archive) => inlineSession(archive, { packed }))).verified)).toContain(code);
  });
});

describe("retention", () => {
  const promising = headed(1, () => ({ retention: { mode: "COMPLIANCE", days: 400 } }));
  const stored = (archive: Archive, until: number | undefined, mode = "COMPLIANCE"): Source => ({
    ...source(archive.objects),
    stat: async (key) => ({
      bytes: archive.objects.get(key)?.byteLength ?? 0,
      ...(until !== undefined && { retainUntil: until, mode }),
    }),
  });
  const day = 86_400_000;

  test.each([
    // A checkpoint is kept from when it was signed, which is a second after the session began.
    ["as long as promised has no finding", START + 400 * day + 1_000, "COMPLIANCE", 0],
    ["shorter than promised is found in every object", START + 399 * day, "COMPLIANCE", 5],
    ["that can be lifted is found in every object", START + 500 * day, "GOVERNANCE", 5],
    ["of none is found in every object", undefined, "", 5],
  ])("%s", async (_, until, mode, count) => {
    const archive = new Archive();
    await inlineSession(archive, promising);
    const { findings } = await verifyArchive(stored(archive, until, mode), { now, retention: true });
    expect(findings.map(({ code }) => code)).toEqual(Array.from({ length: count }, () => "retention_short"));
  });
});

test("an object that something else lies over in the store is found, whatever its retention", async () => {
  const archive = new Archive();
  const { folder } = await inlineSession(archive);
  const object = `${folder}seal.sigstore.json`;
  const covering: Source = {
    ...source(archive.objects),
    stat: async (key) => ({ bytes: 1, ...(key === object && { covered: true }) }),
  };
  const verified = await verifyArchive(covering, { now, retention: true });
  expect(verified).toMatchObject({ integrity: "VALID", completeness: "COMPLETE" });
  expect(verified.findings).toMatchObject([{ code: "object_covered", object, severity: "warning" }]);
});

describe("a session with many findings", () => {
  test("names twenty of a sort and counts the rest", async () => {
    const { verified } = await found((archive) =>
      session(archive, (r) => {
        for (let i = 0; i < 50; i++) r.respond(r.exchange());
      }),
    );
    expect(verified.findings.filter(({ code }) => code === "exchange_order")).toHaveLength(21);
    expect(verified.findings.at(-1)?.message).toBe("and 30 more like these");
  });
});
