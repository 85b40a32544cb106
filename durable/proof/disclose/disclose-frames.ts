/** Single frames of a sealed session, each with its proof: whoever gets them learns nothing of the others (EVIDENCE §6). */
import type { Head } from "#durable/format/head.ts";
import { SEAL_NAME } from "#durable/format/layout.ts";
import { type Bytes, concat, fromBase64, toBase64, utf8 } from "../bytes.ts";
import type { Report } from "../finding.ts";
import { type Checkpoint, checkpointText } from "../log/checkpoint.ts";
import { writeNote } from "../log/note.ts";
import { writeTlogProof } from "../log/tlog-proof.ts";
import { rootOf } from "../merkle.ts";
import { inclusionProof } from "../proofs.ts";
import { readSession } from "../read/session.ts";
import type { Source } from "../read/source.ts";
import type { Unsealed, Unsealing } from "../read/unsealed.ts";
import { openHead } from "../seal.ts";
import { isTerminal } from "../verify/heads.ts";
import { ownKey } from "../verify/sealed/opener.ts";
import { chunkName, lineName, proofName, SEAL_PROOF } from "./names.ts";

export type Wanted = {
  readonly source: Source;
  /** Of the session; empty, or ends in a slash. */
  readonly folder: string;
  /** Ascending, each once. */
  readonly frames: readonly number[];
  readonly report: Report;
  /** Opens an encrypted session, with an auditor's identity. */
  readonly unseal?: Unsealing | undefined;
};

/** The session is not as its seal has it, or has no such frame: nothing of it can be proved. */
export class CannotDisclose extends Error {
  override readonly name = "CannotDisclose";
}

/** Files by name. Reads the whole session, and reports what is wrong with it on the way. Throws CannotDisclose. */
export async function discloseFrames({
  source,
  folder,
  frames,
  report,
  unseal,
}: Wanted): Promise<Map<string, Bytes>> {
  const stored = await source.get(`${folder}${SEAL_NAME}`);
  const { bundle, statement } = stored ? await openHead(stored, undefined) : {};
  if (!stored || !bundle || !statement || !isTerminal(statement.predicate))
    throw new CannotDisclose("the session has no seal that can be read");
  const { head, segments } = statement.predicate;
  const beyond = frames.find((frame) => frame >= head.size);
  if (beyond !== undefined)
    throw new CannotDisclose(`there is no frame ${beyond}: the session has ${head.size}, counted from 0`);
  const unsealed = await openerOf(statement.predicate, unseal);
  const files = new Map<string, Bytes>([[SEAL_NAME, stored]]);
  const leaves: Bytes[] = [];
  const wanted = new Set(frames);
  for await (const item of readSession({ source, folder, segments, report, whole: true, unsealed })) {
    if (item.kind === "skipped")
      throw new CannotDisclose(`${item.object} is not there, or not as it was sealed`);
    leaves.push(item.leaf);
    if (!wanted.has(item.seq)) continue;
    files.set(lineName(item.seq), item.line.slice());
    if (item.frame?.k === "data" && "bytes" in item.frame && item.bytes)
      files.set(chunkName(item.seq), new Uint8Array(item.bytes));
  }
  const flat = concat(leaves);
  if (toBase64(rootOf(flat)) !== head.rootHash)
    throw new CannotDisclose("the frames do not have the root that the seal signs");
  const root = fromBase64(head.rootHash) ?? new Uint8Array();
  const note = sealedNote({ origin: head.origin, size: head.size, root });
  for (const index of frames)
    files.set(proofName(index), utf8(writeTlogProof({ index, path: inclusionProof(flat, index), note })));
  const { inclusionProof: proof } = bundle.verificationMaterial.tlogEntries[0];
  const path = proof.hashes.flatMap((hash) => fromBase64(hash) ?? []);
  const own = { index: Number(proof.logIndex), path, note: proof.checkpoint.envelope };
  return files.set(SEAL_PROOF, utf8(writeTlogProof(own)));
}

async function openerOf(
  { session, encryption }: Head,
  unseal: Unsealing | undefined,
): Promise<Unsealed | undefined> {
  if (encryption === "none") return undefined;
  if (!unseal)
    throw new CannotDisclose("the session is encrypted: give --identity, of somebody it is encrypted to");
  const key = await ownKey(unseal, session);
  if (key?.kind === "opened") return unseal.open(key.own);
  throw new CannotDisclose(
    key?.kind === "unreadable" ? `its key cannot be opened: ${key.why}` : "its key is not there",
  );
}

/** The checkpoint of a session's tree. It bears no signature of its own: the seal signs its three lines. */
export const sealedNote = (checkpoint: Checkpoint): string => writeNote(checkpointText(checkpoint), []);
