/** What turns a session's rows into stored objects, heads and a seal. Every step may be repeated after a crash. */
import { encryptionOf, sessionKeyOf, storeSessionKey, storingOf } from "#durable/custody/session-key.ts";
import type { Head, HeadStatus, SegmentEntry } from "#durable/format/head.ts";
import { completenessOf } from "#durable/format/join/completeness.ts";
import { bytesName, framesName, SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import { principalKey } from "#durable/format/principal.ts";
import { type Envelope, FileSealer, sealFile } from "#durable/proof/age/stream.ts";
import { type Bytes, concat, sha256, toBase64, toHex, utf8 } from "#durable/proof/bytes.ts";
import { readPem } from "#durable/proof/key.ts";
import { Range, rangeFrom, rangeOf } from "#durable/proof/merkle.ts";
import { consistencyBetween } from "#durable/proof/proofs.ts";
import { sealHead } from "#durable/proof/seal.ts";
import type { Tally } from "#durable/store/frame-writer.ts";
import { makeEnvelope } from "#durable/store/keys/envelope.ts";
import type { HeadRow, SegmentRow, SessionRows } from "#durable/store/session-rows.ts";
import type { Means } from "./means.ts";
import type { Ending, Opened } from "./session/life.ts";
import { compress } from "./zstd.ts";

/** Objects of many megabytes are held whole while they are put: one at a time in a recorder, whatever it has to seal. */
let carrying: { until: number } | undefined;
/** Who carries says again and again that it still does: a session whose object died under a put never says that it is done. */
const CARRY_MS = 10_000;
const CARRY_AGAIN_MS = 1_000;

/** Frames after which a progress head is made, whatever the clock says (EVIDENCE §3). */
export const HEAD_FRAMES = 5_000;

export type Sealing = {
  readonly means: Means;
  readonly rows: SessionRows;
  readonly opened: Opened;
  readonly ending: Ending | undefined;
};

/**
 * One pass over what is due: segments that are cut, a progress head, and after the end the terminal head and the seal.
 * Returns the sealed root when the session is done. Throws when the archive or the ledger fails; call again.
 */
export async function seal(sealing: Sealing): Promise<{ readonly root: string } | undefined> {
  const { means, rows, opened, ending } = sealing;
  await storeSessionKey(rows, opened.session, means.keys);
  // Safe here: rows are durable, and so is the key of what is encrypted. A segment's bytes are the same at every attempt, and a put never overwrites.
  for (const segment of rows.segments()) if (segment.stored === 0) await store(sealing, segment);
  if (!ending) {
    if (headDue(sealing)) await signHead(sealing, "progress");
    return undefined;
  }
  // Safe here: every segment has been read back from the archive, and its plaintext rows are gone.
  const terminal = await signHead(sealing, ending.reason === "truncated" ? "truncated" : "closed");
  if (terminal.entry === null) throw new Error(`the terminal head of ${opened.session} has no place`);
  // Safe here: the terminal head is in the ledger. The seal is its entry, with its proof, as the archive has it.
  const seal = await means.ledger.stored(opened.session, terminal.n);
  await means.archive.put(`${sessionFolder(opened.session)}${SEAL_NAME}`, utf8(seal), { locked: true });
  return { root: terminal.root };
}

/** Signs the next head and gives it its place in the ledger. A head that was signed before the crash is used again. */
export async function signHead(sealing: Sealing, status: HeadStatus): Promise<HeadRow> {
  const { means, rows, opened } = sealing;
  const last = rows.lastHead();
  const unplaced = last && last.entry === null ? last : undefined;
  const wanted = unplaced ?? (last && says(last, status) ? last : await makeHead(sealing, status));
  if (wanted.entry !== null) return wanted;
  const entry = await means.ledger.append(opened.session, wanted.n, wanted.bundle);
  rows.setEntry(wanted.n, entry);
  const placed = { ...wanted, entry };
  const enough = status === "open" || !unplaced || statusOf(unplaced) === status;
  return enough ? placed : signHead(sealing, status);
}

/** Whether no further head is due for `status`: a session is opened by its first head only, whatever woke it since. */
function says(last: HeadRow, status: HeadStatus): boolean {
  switch (status) {
    case "open":
      return true;
    case "progress":
      return false;
    case "closed":
    case "truncated":
      return statusOf(last) === status;
  }
}

/** As the rows have it: memory may be ahead of what a head may speak of. */
const tallyOf = (rows: SessionRows): Tally => {
  const tally = rows.fact<Tally>("tally");
  if (!tally) throw new Error("the session has no tally");
  return tally;
};

function headDue({ means, rows }: Sealing): boolean {
  const last = rows.lastHead();
  const { frames } = tallyOf(rows);
  if (!last || frames <= last.size) return false;
  const made = Date.parse(headOf(last).madeAt);
  return frames - last.size >= HEAD_FRAMES || means.now() >= made + means.limits.headSeconds * 1000;
}

async function makeHead(sealing: Sealing, status: HeadStatus): Promise<HeadRow> {
  const { means, rows, opened, ending } = sealing;
  const { archive, now } = means;
  // From what is durable, not from what is being written: a head never covers a frame that could be lost.
  const previous = rows.lastHead();
  const old = previous ? rangeOfHead(rows, previous) : new Range();
  const more = rangeFrom(old.end, rows.leavesFrom(old.end));
  const tree = old.copy().append(more);
  const size = tree.end;
  const root = toBase64(tree.root());
  const { exchanges, c2s, s2c, denied, gaps, policy, join } = tallyOf(rows);
  const head: Head = {
    session: opened.session,
    status,
    n: previous ? previous.n + 1 : 0,
    head: { origin: `${means.origin}/${opened.session}`, size, rootHash: root },
    ...(previous && {
      previous: {
        size: previous.size,
        rootHash: previous.root,
        consistency: consistencyBetween(old, more).map(toBase64),
      },
    }),
    ...(opened.notBefore && { notBefore: opened.notBefore }),
    startedAt: new Date(opened.at).toISOString(),
    madeAt: new Date(now()).toISOString(),
    ...(ending && { endedAt: new Date(ending.at).toISOString(), reason: ending.reason }),
    principal: `hmac:${await means.pseudonym(principalKey(opened.opening.principal))}`,
    gateway: {
      build: { sha256: means.build },
      config: { sha256: means.config },
      ...(policy !== undefined && { policy: { sha256: policy } }),
    },
    counts: { frames: size, exchanges, c2s, s2c, denied, gaps },
    segments: rows
      .segments()
      .filter((segment) => segment.stored === 1)
      .map((segment) => entryOf(rows, segment)),
    encryption: encryptionOf(rows),
    ...(ending && join && { completeness: completenessOf(join, gaps, ending.reason) }),
    retention: archive.retention,
  };
  const commits =
    status === "open" || status === "progress"
      ? []
      : rows.pushed().map((oid) => ({ ref: `commit/${oid}`, oid }));
  const bundle = JSON.stringify(await sealHead(head, commits, readPem(means.sealPub), means.sign));
  const row = { n: head.n, size, root, bundle, range: JSON.stringify(tree.serialise()) };
  rows.addHead(row);
  return { ...row, entry: null };
}

/** Heads cost what came since the last one, however long the session is: that one's tree is restored, not built again. */
function rangeOfHead(rows: SessionRows, { size, range }: HeadRow): Range {
  if (range === null) return rangeOf(rows.leavesFrom(0), 0, size);
  return Range.restore(0, size, JSON.parse(range) as string[]);
}

function entryOf(rows: SessionRows, row: SegmentRow): SegmentEntry {
  const { kind, n, sha256, bytes, first, frames } = row;
  const storing = storingOf(rows);
  if (kind === "bytes") return { name: bytesName(n, storing), sha256, bytes };
  const range =
    row.range === null
      ? rangeFrom(first, rows.segmentLeaves(n)).serialise()
      : (JSON.parse(row.range) as string[]);
  return { name: framesName(n, storing), sha256, bytes, firstFrame: first, frames, range };
}

async function store(sealing: Sealing, segment: SegmentRow): Promise<void> {
  const { now } = sealing.means;
  while (carrying && now() < carrying.until) await new Promise((resolve) => setTimeout(resolve, 20));
  const mine = { until: now() + CARRY_MS };
  carrying = mine;
  const still = setInterval(() => {
    mine.until = now() + CARRY_MS;
  }, CARRY_AGAIN_MS);
  try {
    if (segment.kind === "frames") await storeFrames(sealing, segment);
    else await storeBytes(sealing, segment);
  } finally {
    clearInterval(still);
    if (carrying === mine) carrying = undefined;
  }
}

async function storeFrames(
  { means, rows, opened }: Sealing,
  { n, sha256: known }: SegmentRow,
): Promise<void> {
  if (known === "") await pack(means, rows, n);
  const packed = concat(rows.packed(n));
  const name = framesName(n, storingOf(rows));
  await means.archive.put(`${sessionFolder(opened.session)}${name}`, packed, { locked: true });
  rows.purge("frames", n);
}

async function pack(means: Means, rows: SessionRows, n: number): Promise<void> {
  const lines = rows.lines(n);
  const compressed = await compress(concat(lines.map((row) => row.lines)), rest);
  const envelope = await newEnvelope(means, rows);
  // The file is kept, not its key: every put has the same bytes.
  const packed = envelope ? sealFile(envelope, [compressed], compressed.byteLength) : compressed;
  const first = lines[0]?.first ?? 0;
  const leaves = concat(lines.map((row) => row.leaves));
  const row = {
    first,
    frames: leaves.byteLength / 32,
    sha256: toHex(sha256(packed)),
    leaves,
    range: JSON.stringify(rangeFrom(first, leaves).serialise()),
  };
  rows.setPacked(n, row, packed);
}

async function storeBytes({ means, rows, opened }: Sealing, { n }: SegmentRow): Promise<void> {
  const bytes = await bytesOf(means, rows, n);
  const name = bytesName(n, storingOf(rows));
  await means.archive.put(`${sessionFolder(opened.session)}${name}`, bytes, { locked: true });
  rows.setBytes(n, toHex(sha256(bytes)), bytes.byteLength);
  rows.purge("bytes", n);
}

/** A turn for others: whoever waits to be recorded goes before what is to be sealed. */
const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** The segment as it is stored: the same bytes at every attempt, since what it is encrypted with was kept first. */
async function bytesOf(means: Means, rows: SessionRows, n: number): Promise<Bytes> {
  const size = rows.chunkSize(n);
  let envelope = rows.envelope(n);
  if (!envelope) {
    envelope = await newEnvelope(means, rows);
    if (envelope) rows.setEnvelope(n, envelope);
  }
  if (!envelope) return plain(rows.chunks(n), size);
  const sealer = new FileSealer(envelope, size);
  for (const chunk of rows.chunks(n)) {
    sealer.write(chunk);
    // Encrypting 16 MiB takes a tenth of a second.
    await rest();
  }
  return sealer.end();
}

/** Row by row: a segment is in memory once. */
function plain(chunks: Iterable<Uint8Array>, size: number): Bytes {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

async function newEnvelope(means: Means, rows: SessionRows): Promise<Envelope | undefined> {
  const key = sessionKeyOf(rows);
  return key && (await makeEnvelope(key.recipient, means.random));
}

const headOf = (row: HeadRow): Head => {
  const { dsseEnvelope } = JSON.parse(row.bundle) as { dsseEnvelope: { payload: string } };
  return (JSON.parse(atob(dsseEnvelope.payload)) as { predicate: Head }).predicate;
};
const statusOf = (row: HeadRow): HeadStatus => headOf(row).status;
