/** How a signed checkpoint reaches the archive (EVIDENCE §4). Every step may be repeated: it has the same bytes again. */
import {
  CHECKPOINT,
  checkpointKey,
  entryKey,
  LOG_PQ_VKEY,
  LOG_VKEY,
  SEAL_PUB,
  TRUSTED_ROOT,
  tileKey,
  WITNESS_POLICY,
} from "#durable/format/layout.ts";
import { type Bytes, readUtf8, utf8 } from "#durable/proof/bytes.ts";
import { logId, makeTlogEntry } from "#durable/proof/log/bundle.ts";
import type { LogKeys } from "#durable/proof/log/checkpoint.ts";
import { type Edge, EMPTY_EDGE, Growth } from "#durable/proof/log/growth.ts";
import { encodeEntries, TILE, tilePath } from "#durable/proof/log/tile.ts";
import { trustedRoot, vkeyFile, witnessPolicy } from "#durable/proof/log/trust.ts";
import { encodeBundle, makeBundle, type SignedHead } from "#durable/proof/seal.ts";
import type { Archive } from "../archive.ts";
import type { CheckpointRow, EntryRow, LedgerRows } from "./rows.ts";

/** Somebody else who signs that our log only grows (C2SP tlog-witness). */
export interface Witness {
  /** Signature lines to add to the note; none when it could not be asked. Throws when it refuses: it knows another log. */
  cosign(checkpoint: { readonly note: string; readonly size: number }): Promise<readonly string[]>;
}

export type Publishing = {
  readonly archive: Archive;
  readonly rows: LedgerRows;
  readonly keys: LogKeys;
  /** PEM. */
  readonly sealPub: string;
  readonly witnesses: readonly Witness[];
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

/** All of a checkpoint's objects, in the order of EVIDENCE §4. Throws when one could not be put; call again. */
export async function publish(publishing: Publishing, signed: CheckpointRow): Promise<void> {
  const { archive, rows, witnesses } = publishing;
  const growth = growthTo(rows, rows.published(), signed.size);
  const entries = rows.entries(signed.start, signed.size);
  if (rows.fact("trust") === undefined) await putTrust(publishing);
  // Tiles first, so that the archive always holds what a witness has seen.
  await putTiles(publishing, signed, growth);
  const note = await cosigned(witnesses, signed);
  // What is published is remembered first: after a crash the same note is put, not one with other cosignatures.
  if (note !== signed.note) rows.setNote(signed, note);
  await archive.replace(CHECKPOINT, utf8(note));
  await archive.put(checkpointKey(signed.size, signed.at), utf8(note), { locked: true });
  await putBundles(publishing, { ...signed, note }, growth, entries);
  rows.setPublished(signed, signed.size - (signed.size % TILE));
}

async function cosigned(witnesses: readonly Witness[], { note, size }: CheckpointRow): Promise<string> {
  const lines: string[] = [];
  for (const witness of witnesses) lines.push(...(await witness.cosign({ note, size })));
  return note + lines.join("");
}

async function putTrust({ archive, rows, keys, sealPub }: Publishing): Promise<void> {
  const files: readonly (readonly [string, Bytes])[] = [
    [SEAL_PUB, utf8(sealPub)],
    [LOG_VKEY, vkeyFile(keys, "ed25519")],
    [LOG_PQ_VKEY, vkeyFile(keys, "mlDsa")],
    [TRUSTED_ROOT, trustedRoot(keys)],
    [WITNESS_POLICY, witnessPolicy(keys)],
  ];
  for (const [key, bytes] of files) await archive.put(key, bytes, { locked: false });
  rows.setFact("trust", "published");
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
  { archive, keys, stored }: Publishing,
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
    const bundle = encodeBundle(makeBundle(JSON.parse(head) as SignedHead, place));
    await archive.put(entryKey(index), bundle, { locked: true });
    stored(index, readUtf8(bundle) ?? "");
  });
}

async function inTurns<T>(work: readonly T[], one: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < work.length; at += AT_ONCE) await Promise.all(work.slice(at, at + AT_ONCE).map(one));
}
