/** Logs that are not what they should be, each in one way, and what the verifier says of it. */
import { beforeAll, describe, expect, test } from "vitest";
import {
  CHECKPOINT,
  checkpointKey,
  entryKey,
  LOG_PQ_VKEY,
  LOG_VKEY,
  SEAL_NAME,
  TRUSTED_ROOT,
  tileKey,
  WITNESS_POLICY,
} from "#durable/format/layout.ts";
import { type Bytes, fromBase64, readUtf8, toBase64, utf8 } from "#durable/proof/bytes.ts";
import type { FindingCode } from "#durable/proof/finding.ts";
import { readCheckpoint, signCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { readNote, writeNote } from "#durable/proof/log/note.ts";
import { vkeyFile } from "#durable/proof/log/trust.ts";
import { type Bundle, encodeBundle, openBundle } from "#durable/proof/seal.ts";
import { type Verified, type VerifyOptions, verifyArchive } from "#durable/proof/verify/archive.ts";
import { logSigner } from "#test/support/log-signer.ts";
import { bytesSession, inlineSession, longSession, now } from "./corpus.ts";
import { Archive, LOG, type Objects, ORIGIN, START, source } from "./recording.ts";

/** Two entries of the inline session, two of the one with bytes, four of the long one. */
const SIZE = 8;
let good: Objects;
let seals: string[];
let stranger: Awaited<ReturnType<typeof logSigner>>;

beforeAll(async () => {
  const archive = new Archive();
  await inlineSession(archive);
  await bytesSession(archive);
  await longSession(archive);
  good = archive.objects;
  seals = [...good.keys()].filter((key) => key.endsWith(SEAL_NAME)).sort();
  stranger = await logSigner("other.example");
});

const verify = (objects: Objects, more: Partial<VerifyOptions> = {}): Promise<Verified> =>
  verifyArchive(source(objects), { now, ...more });
const object = (key: string): Bytes => good.get(key) ?? new Uint8Array();
const text = (key: string): string => readUtf8(object(key)) ?? "";
const withObject = (key: string, bytes: Bytes | string): Objects =>
  new Map(good).set(key, typeof bytes === "string" ? utf8(bytes) : bytes);
const without = (keep: (key: string) => boolean): Objects => new Map([...good].filter(([key]) => keep(key)));
const stored = (size: number): string => checkpointKey(size, START / 1000 + size - 1);

function bundleOf(key: string): Bundle {
  const bundle = openBundle(object(key));
  if (typeof bundle === "string") throw new Error(bundle);
  return structuredClone(bundle);
}
/** The entry with its place in the log changed. */
function bent(
  key: string,
  change: (entry: Bundle["verificationMaterial"]["tlogEntries"][0]) => void,
): Objects {
  const bundle = bundleOf(key);
  change(bundle.verificationMaterial.tlogEntries[0]);
  return withObject(key, encodeBundle(bundle));
}

/** The checkpoint over `size` entries again, with what is said changed, and signed by the log or by somebody else. */
async function signed(size: number, root = 0, at = 99, signer = LOG): Promise<string> {
  const read = readCheckpoint(text(stored(size)).split("\n\n")[0]?.concat("\n") ?? "");
  if (!read) throw new Error("no checkpoint");
  const other = read.root.slice();
  other[0] = (other[0] ?? 0) ^ root;
  return signCheckpoint({ origin: signer.keys.ed25519.name, size, root: other }, START / 1000 + at, signer);
}

type Case = readonly [
  name: string,
  change: () => Objects | Promise<Objects>,
  code: FindingCode,
  where: () => string,
];
const cases: readonly Case[] = [
  [
    "the checkpoint is gone",
    () => without((key) => key !== CHECKPOINT),
    "checkpoint_missing",
    () => CHECKPOINT,
  ],
  [
    "the checkpoint is no note",
    () => withObject(CHECKPOINT, "hello\n"),
    "checkpoint_malformed",
    () => CHECKPOINT,
  ],
  [
    "the checkpoint lacks its ML-DSA-44 signature",
    () => withObject(CHECKPOINT, text(CHECKPOINT).split("\n").slice(0, 5).join("\n").concat("\n")),
    "checkpoint_signature",
    () => CHECKPOINT,
  ],
  [
    "the checkpoint lacks its Ed25519 signature",
    () => withObject(CHECKPOINT, text(CHECKPOINT).replace(/\n\n.*\n/u, "\n\n")),
    "checkpoint_signature",
    () => CHECKPOINT,
  ],
  [
    "the checkpoint is of another log",
    async () => withObject(CHECKPOINT, await signed(SIZE, 0, 99, stranger)),
    "checkpoint_origin",
    () => CHECKPOINT,
  ],
  [
    "the log signed another root for the same size: a fork",
    async () => withObject(CHECKPOINT, await signed(SIZE, 1)),
    "checkpoint_root",
    () => CHECKPOINT,
  ],
  [
    "the log signed another root for an earlier size",
    async () => withObject(checkpointKey(3, START / 1000 + 99), await signed(3, 1)),
    "checkpoint_root",
    () => checkpointKey(3, START / 1000 + 99),
  ],
  [
    "the checkpoint was put back to an earlier one",
    () => withObject(CHECKPOINT, object(stored(5))),
    "checkpoint_behind",
    () => CHECKPOINT,
  ],
  [
    "a stored checkpoint has another's name",
    () => withObject(checkpointKey(4, 1), object(stored(5))),
    "checkpoint_malformed",
    () => checkpointKey(4, 1),
  ],
  [
    "something else lies among the checkpoints",
    () => withObject("log/checkpoints/latest", "x"),
    "object_unknown",
    () => "log/checkpoints/latest",
  ],
  [
    "somebody unknown has cosigned",
    () => withObject(CHECKPOINT, `${text(CHECKPOINT)}\u2014 w.example ${toBase64(new Uint8Array(76))}\n`),
    "checkpoint_stranger",
    () => CHECKPOINT,
  ],
  [
    "the last entries are gone, seal and all",
    () => without((key) => key !== entryKey(7) && key !== entryKey(6) && key !== seals[2]),
    "entry_missing",
    () => entryKey(6),
  ],
  [
    "an entry in the middle is gone",
    () => without((key) => key !== entryKey(3)),
    "entry_missing",
    () => entryKey(3),
  ],
  [
    "an entry is under another's index",
    () => withObject(entryKey(2), object(entryKey(4))),
    "entry_proof",
    () => entryKey(2),
  ],
  [
    "an entry brings another entry's proof",
    () =>
      bent(entryKey(5), (entry) => {
        entry.inclusionProof.hashes = bundleOf(
          entryKey(4),
        ).verificationMaterial.tlogEntries[0].inclusionProof.hashes;
      }),
    "entry_proof",
    () => entryKey(5),
  ],
  [
    "an entry's body is another head's",
    () =>
      bent(entryKey(5), (entry) => {
        entry.canonicalizedBody = bundleOf(entryKey(4)).verificationMaterial.tlogEntries[0].canonicalizedBody;
      }),
    "entry_body",
    () => entryKey(5),
  ],
  [
    "an entry names another log id",
    () => bent(entryKey(5), (entry) => Object.assign(entry.logId, { keyId: toBase64(new Uint8Array(32)) })),
    "checkpoint_origin",
    () => entryKey(5),
  ],
  [
    "an entry brings a checkpoint that somebody else signed",
    async () => {
      const note = await signed(6, 0, 5, stranger);
      return bent(entryKey(5), (entry) => Object.assign(entry.inclusionProof.checkpoint, { envelope: note }));
    },
    "checkpoint_origin",
    () => entryKey(5),
  ],
  [
    "an entry brings a checkpoint with one bit of a signature changed",
    () =>
      bent(entryKey(5), ({ inclusionProof: { checkpoint } }) => {
        const note = readNote(checkpoint.envelope);
        if (typeof note === "string") throw new Error(note);
        const lines = checkpoint.envelope.slice(note.text.length + 1).split("\n");
        const [dash = "", name = "", base64 = ""] = lines[1]?.split(" ") ?? [];
        const bytes = fromBase64(base64) ?? new Uint8Array();
        bytes[500] = (bytes[500] ?? 0) ^ 1;
        checkpoint.envelope = writeNote(note.text, [`${lines[0]}\n`, `${dash} ${name} ${toBase64(bytes)}\n`]);
      }),
    "checkpoint_signature",
    () => entryKey(5),
  ],
  [
    "a tile is gone",
    () => without((key) => key !== tileKey("tile/0/000.p/8")),
    "tile_missing",
    () => tileKey("tile/0/000.p/8"),
  ],
  [
    "an entry bundle is gone",
    () => without((key) => key !== tileKey("tile/entries/000.p/8")),
    "tile_missing",
    () => tileKey("tile/entries/000.p/8"),
  ],
  [
    "an old partial tile holds other hashes",
    () => withObject(tileKey("tile/0/000.p/3"), object(tileKey("tile/0/000.p/8")).slice(32, 128)),
    "tile_altered",
    () => tileKey("tile/0/000.p/3"),
  ],
  [
    "a tile is too short",
    () => withObject(tileKey("tile/0/000.p/8"), object(tileKey("tile/0/000.p/7"))),
    "tile_altered",
    () => tileKey("tile/0/000.p/8"),
  ],
  [
    "a tile is ahead of every checkpoint",
    () =>
      withObject(
        tileKey("tile/0/000.p/9"),
        new Uint8Array([...object(tileKey("tile/0/000.p/8")), ...new Uint8Array(32)]),
      ),
    "object_unknown",
    () => tileKey("tile/0/000.p/9"),
  ],
  [
    "something else lies among the tiles",
    () => withObject("log/tile/0/1", "x"),
    "object_unknown",
    () => "log/tile/0/1",
  ],
  ["a log key is gone", () => without((key) => key !== LOG_PQ_VKEY), "key_missing", () => LOG_PQ_VKEY],
  ["a log key is no vkey", () => withObject(LOG_VKEY, "hello\n"), "key_malformed", () => LOG_VKEY],
  [
    "the log's keys are swapped",
    () => withObject(LOG_VKEY, object(LOG_PQ_VKEY)),
    "key_malformed",
    () => LOG_VKEY,
  ],
  [
    "the log's keys are of two logs",
    () => withObject(LOG_PQ_VKEY, vkeyFile(stranger.keys, "mlDsa")),
    "key_malformed",
    () => LOG_PQ_VKEY,
  ],
  [
    "the trusted root is gone",
    () => without((key) => key !== TRUSTED_ROOT),
    "object_missing",
    () => TRUSTED_ROOT,
  ],
  [
    "the trusted root names another log",
    () => withObject(TRUSTED_ROOT, text(TRUSTED_ROOT).replace(ORIGIN, "other.example")),
    "key_malformed",
    () => TRUSTED_ROOT,
  ],
  [
    "the witness policy was changed",
    () => withObject(WITNESS_POLICY, "quorum all\n"),
    "policy_malformed",
    () => WITNESS_POLICY,
  ],
];

describe("one change to a good log", () => {
  test("there is none: nothing is found, and the newest checkpoint is what an auditor keeps", async () => {
    const verified = await verify(good);
    expect(verified).toMatchObject({ findings: [], integrity: "VALID", completeness: "COMPLETE" });
    expect(verified.log).toMatchObject({ origin: ORIGIN, size: SIZE });
  });

  test.each(cases)("%s: it is found, and the object is named", async (_, change, code, where) => {
    const { findings } = await verify(await change());
    expect(findings.map((finding) => `${finding.code} ${finding.object}`)).toContain(`${code} ${where()}`);
  });

  test("dropping any object of the log is a finding, but for partial tiles that newer ones cover", async () => {
    for (const key of good.keys()) {
      if (!key.startsWith("log/") && !key.startsWith("trust/")) continue;
      const covered = /\.p\/[1-7]$/.test(key);
      const { findings } = await verify(without((each) => each !== key));
      expect({ key, found: findings.length > 0 }).toEqual({ key, found: !covered });
    }
  });

  test("an entry that is gone is told from its tile, and the roots still hold", async () => {
    const { findings } = await verify(without((key) => key !== entryKey(3)));
    expect(findings.map(({ code }) => code).filter((code) => code.startsWith("checkpoint"))).toEqual([]);
  });
});

describe("a log the auditor has seen before", () => {
  const at = (size: number) => {
    const read = readCheckpoint(text(stored(size)).split("\n\n")[0]?.concat("\n") ?? "");
    return { origin: ORIGIN, size, rootHash: toBase64(read?.root ?? new Uint8Array()) };
  };

  test.each([1, 5, SIZE])("extends the checkpoint of %i entries that it had", async (size) => {
    expect(await verify(good, { since: at(size) })).toMatchObject({ findings: [], log: { size: SIZE } });
  });

  test.each([
    ["another root for its size", () => ({ ...at(5), rootHash: at(4).rootHash })],
    ["more entries", () => ({ ...at(SIZE), size: SIZE + 1 })],
    ["another name", () => ({ ...at(5), origin: "other.example" })],
  ])("that had %s is not extended, and is not what to keep", async (_, since) => {
    const { findings, integrity, log } = await verify(good, { since: since() });
    expect(findings.map(({ code, object: where }) => `${code} ${where}`)).toEqual([
      `log_not_extended ${CHECKPOINT}`,
    ]);
    expect({ integrity, log }).toEqual({ integrity: "INVALID", log: undefined });
  });

  test("with other keys than the auditor's is said to be of another, and nothing it signed is believed", async () => {
    const { findings } = await verify(good, { log: stranger.keys });
    const found = findings.map(({ code, object: where }) => `${code} ${where}`);
    expect(found).toEqual(
      expect.arrayContaining([
        `key_other ${LOG_VKEY}`,
        `key_other ${LOG_PQ_VKEY}`,
        `checkpoint_origin ${CHECKPOINT}`,
      ]),
    );
  });
});

describe("what a head says was there before it", () => {
  const before = (size: number) => ({
    head: <T extends { n: number }>(head: T): T => ({
      ...head,
      notBefore: {
        origin: ORIGIN,
        size,
        rootHash: `${"A".repeat(43)}=`,
        noteSha256: "0".repeat(64),
      },
    }),
  });

  test("with a root that the log never had, or more entries than there were, is found", async () => {
    for (const size of [1, 7]) {
      const archive = new Archive();
      await bytesSession(archive);
      await inlineSession(archive, before(size));
      const { findings } = await verify(archive.objects);
      const found = findings.map(({ code, object: where }) => `${code} ${where}`);
      expect(found).toContain(`head_not_before ${entryKey(2)}`);
    }
  });
});
