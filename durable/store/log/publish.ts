/** How a signed checkpoint reaches the archive (EVIDENCE §4). Every step may be repeated: it has the same bytes again. */
import type { NotBefore } from "#durable/format/head.ts";
import { CHECKPOINT, checkpointKey, checkpointStampKey, entryKey, tileKey } from "#durable/format/layout.ts";
import { type Bytes, readUtf8, sha256, toBase64, toHex, utf8 } from "#durable/proof/bytes.ts";
import { logId, makeTlogEntry } from "#durable/proof/log/bundle.ts";
import { checkpointText, type LogKeys } from "#durable/proof/log/checkpoint.ts";
import { type Edge, EMPTY_EDGE, Growth } from "#durable/proof/log/growth.ts";
import { policyText } from "#durable/proof/log/policy.ts";
import { encodeEntries, TILE, tilePath } from "#durable/proof/log/tile.ts";
import { encodeBundle, makeBundle, type SignedHead } from "#durable/proof/seal.ts";
import type { Archive } from "../archive.ts";
import { cosign, countCosigned, type Tell, type Witnesses } from "./cosigning.ts";
import { extension } from "./extension.ts";
import { putPolicy } from "./policy-files.ts";
import type { CheckpointRow, EntryRow, LedgerRows } from "./rows.ts";
import { stampAll } from "./stamping.ts";
import { putTrust } from "./trust-files.ts";
import type { Tsa } from "./tsa.ts";
import type { Signed } from "./witness.ts";

export type Publishing = {
  readonly archive: Archive;
  readonly rows: LedgerRows;
  readonly keys: LogKeys;
  /** PEM. */
  readonly sealPub: string;
  readonly witnesses: Witnesses;
  /** Who says when; absent when nobody is asked. */
  readonly tsa: Tsa | undefined;
  readonly tell: Tell;
  /** Told of every bundle that is in the archive. */
  readonly stored: (index: number, bundle: string) => void;
};

/** Puts at once. */
const AT_ONCE = 4;

/** From the checkpoint before to the tree at `size`. */
export function growthTo(rows: LedgerRows, before: CheckpointRow | undefined, size: number): Growth {
  const edge: Edge = before ? { size: before.size, hashes: before.edge } : EMPTY_EDGE;
  return new Growth(
    edge,
    rows.entries(edge.size, size).map(({ leaf }) => leaf),
  );
}

/** As witnesses are asked to cosign it. */
export const signedOf = ({ size, root, note }: CheckpointRow, { ed25519 }: LogKeys): Signed => {
  const checkpoint = { origin: ed25519.name, size, root };
  return { checkpoint, text: checkpointText(checkpoint), note };
};

/**
 * All of a checkpoint's objects, in the order of EVIDENCE §4. Throws when one could not be put; call again. Throws
 * `LogContradicted` when a witness knows another log: then calling again is of no use.
 */
export async function publish(publishing: Publishing, signed: CheckpointRow): Promise<void> {
  const { archive, rows, keys, sealPub, witnesses, tsa } = publishing;
  const growth = growthTo(rows, rows.published(), signed.size);
  const entries = rows.entries(signed.start, signed.size);
  await putTrust(archive, rows, keys, sealPub, tsa?.chain ?? []);
  const quorum = { witnesses: witnesses.all.map(({ key }) => key), threshold: witnesses.threshold };
  await putPolicy(archive, rows, signed, policyText(keys, quorum));
  // Tiles first, so that the archive always holds what a witness has seen.
  await putTiles(publishing, signed, growth);
  const note = await witnessed(publishing, signed, growth);
  await stampAll(publishing, { ...signed, note }, entries);
  await archive.replace(CHECKPOINT, utf8(note));
  await archive.put(checkpointKey(signed.size, signed.at), utf8(note), { locked: true });
  await putStamp(publishing, signed);
  await putBundles(publishing, { ...signed, note }, growth, entries);
  noteQuorum(publishing, { ...signed, note });
  rows.setPublished(signed, signed.size - (signed.size % TILE));
}

/** The note with the witnesses' lines. It is remembered first, also without any: after a crash the same note is put. */
async function witnessed(
  { archive, rows, keys, witnesses, tell }: Publishing,
  signed: CheckpointRow,
  growth: Growth,
): Promise<string> {
  if (witnesses.all.length === 0 || rows.isNoted(signed)) return signed.note;
  const prove = (old: number) => extension(archive, growth, old);
  const lines = await cosign(witnesses, signedOf(signed, keys), signed.start, prove, tell);
  const note = signed.note + lines.join("");
  rows.setNote(signed, note);
  return note;
}

/** What opens from now on opens after the newest checkpoint that enough have cosigned. A change is told of. */
function noteQuorum({ rows, keys, witnesses, tell }: Publishing, { size, root, note }: CheckpointRow): void {
  const { all, threshold } = witnesses;
  const cosigned = countCosigned(
    note,
    all.map(({ key }) => key),
  );
  if (cosigned >= threshold) rows.setFact("cosigned", JSON.stringify(notBefore(keys, { size, root, note })));
  const was = rows.fact("quorum") ?? "met";
  const is = cosigned >= threshold ? "met" : "missed";
  if (is === was) return;
  rows.setFact("quorum", is);
  tell(`quorum_${is}`, { size, cosigned, quorum: threshold });
}

const notBefore = (
  { ed25519 }: LogKeys,
  { size, root, note }: Pick<CheckpointRow, "size" | "root" | "note">,
): NotBefore => ({
  origin: ed25519.name,
  size,
  rootHash: toBase64(root),
  noteSha256: toHex(sha256(utf8(note))),
});

async function putStamp({ archive, rows }: Publishing, { size, at }: CheckpointRow): Promise<void> {
  const object = checkpointStampKey(size, at);
  const token = rows.stamp(object)?.token;
  if (token) await archive.put(object, token, { locked: true });
}

async function putTiles(
  { archive, rows }: Publishing,
  { start, size }: CheckpointRow,
  growth: Growth,
): Promise<void> {
  const puts = growth.tiles().map(({ path, bytes, full }) => ({ path, full, bytes: () => bytes }));
  for (let from = start - (start % TILE); from < size && start < size; from += TILE) {
    const to = Math.min(from + TILE, size);
    const bytes = () => encodeEntries(rows.entries(from, to).map(bodyOf));
    puts.push({ path: tilePath("entries", from / TILE, to - from), full: to - from === TILE, bytes });
  }
  await inTurns(puts, async ({ path, bytes, full }) => {
    await archive.put(tileKey(path), bytes(), { locked: full });
  });
}

function bodyOf({ index, body }: EntryRow): Bytes {
  if (!body) throw new Error(`the ledger has no body of entry ${index}`);
  return body;
}

async function putBundles(
  { archive, rows, keys, stored }: Publishing,
  { size, root, note }: CheckpointRow,
  growth: Growth,
  entries: readonly EntryRow[],
): Promise<void> {
  const id = logId(keys.ed25519);
  await inTurns(entries, async (entry) => {
    const { index, head } = entry;
    if (head === undefined) throw new Error(`the ledger has no head of entry ${index}`);
    const proof = growth.inclusion(index);
    const place = makeTlogEntry({ index, body: bodyOf(entry), size, root, proof, note, logId: id });
    const token = rows.stamp(entryKey(index))?.token;
    const bundle = encodeBundle(makeBundle(JSON.parse(head) as SignedHead, place, token));
    await archive.put(entryKey(index), bundle, { locked: true });
    stored(index, readUtf8(bundle) ?? "");
  });
}

async function inTurns<T>(work: readonly T[], one: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < work.length; at += AT_ONCE) await Promise.all(work.slice(at, at + AT_ONCE).map(one));
}
