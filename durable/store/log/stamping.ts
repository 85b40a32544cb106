/** Timestamps of a checkpoint and of the seals in it: asked for once, before what bears them is put. */
import type { HeadStatus } from "#durable/format/head.ts";
import { checkpointStampKey, entryKey } from "#durable/format/layout.ts";
import { type Bytes, fromBase64, utf8 } from "#durable/proof/bytes.ts";
import { openBundle, type SignedHead, stampedBytes, stampOf } from "#durable/proof/seal.ts";
import { readStatement } from "#durable/proof/statement.ts";
import type { Archive } from "../archive.ts";
import type { Tell } from "./cosigning.ts";
import type { CheckpointRow, EntryRow, LedgerRows } from "./rows.ts";
import type { Tsa } from "./tsa.ts";

type Stamping = {
  readonly archive: Pick<Archive, "get">;
  readonly rows: LedgerRows;
  readonly tsa: Tsa | undefined;
  readonly tell: Tell;
};

type Wanted = {
  readonly object: string;
  readonly text: Bytes;
  /** Its timestamp in what the archive has under its key. */
  readonly read: (stored: Bytes) => Bytes | undefined;
};

/**
 * Decides for each object whether it has a timestamp, and which: never again, since the object may be in the archive
 * from then on. What the archive has already decides before the authority does, which gives another each time.
 */
export async function stampAll(
  { archive, rows, tsa, tell }: Stamping,
  { size, at, note }: CheckpointRow,
  entries: readonly EntryRow[],
): Promise<void> {
  if (!tsa) return;
  const checkpoint = {
    object: checkpointStampKey(size, at),
    text: utf8(note),
    read: (stored: Bytes) => stored,
  };
  const wanted = [checkpoint, ...(bearsStamps(tsa) ? entries.flatMap(sealIn) : [])];
  const asked: Wanted[] = [];
  for (const each of wanted) {
    if (rows.stamp(each.object)) continue;
    const stored = await archive.get(each.object);
    if (stored) rows.setStamp(each.object, each.read(stored));
    else asked.push(each);
  }
  const { stamps, absent } = await tsa.stamp(asked.map(({ text }) => text));
  for (const [i, { object }] of asked.entries()) rows.setStamp(object, stamps[i]?.reply);
  if (absent === undefined) return;
  const without = stamps.filter((stamp) => !stamp).length;
  tell("timestamp_absent", { size, without, cause: absent });
}

/**
 * Sigstore's clients refuse a seal whose timestamp they cannot verify: its authority must be in the trusted root, and
 * `@sigstore/verify` knows ECDSA alone. Otherwise the checkpoint's speaks for its seals.
 */
const bearsStamps = ({ chain }: Tsa): boolean =>
  chain.length > 0 && chain.every(({ kind, algorithm }) => kind === "ecdsa" && algorithm.kind === "ecdsa");

const TERMINAL: readonly string[] = ["closed", "truncated"] satisfies HeadStatus[];

/** The entry when it is a session's last head. */
function sealIn({ index, head }: EntryRow): Wanted[] {
  if (head === undefined) return [];
  const signed = JSON.parse(head) as SignedHead;
  const statement = readStatement(fromBase64(signed.dsseEnvelope.payload) ?? new Uint8Array());
  // What is no head has no seal's timestamp.
  if (typeof statement === "string" || !TERMINAL.includes(statement.predicate.status)) return [];
  const read = (stored: Bytes) => {
    const bundle = openBundle(stored);
    return typeof bundle === "string" ? undefined : stampOf(bundle);
  };
  return [{ object: entryKey(index), text: stampedBytes(signed), read }];
}
