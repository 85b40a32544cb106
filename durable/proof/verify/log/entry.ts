/** One stored bundle's place in the log: that it is its head's, that its proof holds, and who signed the checkpoint. */
import { type Bytes, toBase64 } from "../../bytes.ts";
import { logId, openEntry } from "../../log/bundle.ts";
import { type LogKeys, type OpenedCheckpoint, openCheckpoint } from "../../log/checkpoint.ts";
import { type Bundle, stampedBytes, stampOf } from "../../seal.ts";
import type { Context } from "../context.ts";
import { checkToken } from "./timestamps.ts";
import type { Claim } from "./tree.ts";

/** Checkpoints remembered: entries that bring the same one are near each other. */
const OPENED_MAX = 64;

export type CheckedEntry = { readonly leaf: Bytes; readonly claim: Claim | undefined };

/** `signed`: the head's signature holds. `at` is the index that the object's name says. */
export async function checkEntry(
  context: Context,
  object: string,
  bundle: Bundle,
  signed: boolean,
  at?: number,
): Promise<CheckedEntry> {
  const { report, key } = context;
  const [entry] = bundle.verificationMaterial.tlogEntries;
  // A head that the key did not sign has no entry to be held against, and what is wrong with it has been said.
  const spki = signed ? key?.spki : undefined;
  const { index, leaf, wrong } = openEntry(entry, bundle.dsseEnvelope, spki);
  if (wrong) report(wrong.code, object, wrong.message);
  if (at !== undefined && at !== index) report("entry_proof", object, `it says that it is entry ${index}`);
  const log = logOf(context, entry.inclusionProof.checkpoint.envelope);
  if (log && entry.logId.keyId !== logId(log.ed25519))
    report("checkpoint_origin", object, "its log is not this one: another log id");
  const token = stampOf(bundle);
  if (token) await checkToken(context, object, token, stampedBytes(bundle));
  const opened = await checkNote(context, object, entry.inclusionProof.checkpoint.envelope);
  if (!opened) return { leaf, claim: undefined };
  const { origin, size, root } = opened.checkpoint;
  const claim = { code: "checkpoint_root", object, origin, size, rootHash: toBase64(root) } as const;
  return { leaf, claim: opened.at === undefined ? claim : { ...claim, at: opened.at } };
}

/** Opens a checkpoint and says what is wrong with it. Undefined when it is not one that the log signed. */
export async function checkNote(
  context: Context,
  object: string,
  text: string,
): Promise<OpenedCheckpoint | undefined> {
  const { report } = context;
  const checkpoint = await openNote(context, text);
  if (typeof checkpoint === "string") {
    report("checkpoint_malformed", object, checkpoint);
    return undefined;
  }
  const { wrong, others, forged } = checkpoint;
  if (wrong) report(wrong.code, object, wrong.message);
  for (const { name } of forged)
    report("cosignature_forged", object, `the signature of ${name} does not hold`);
  for (const { name } of others)
    report("checkpoint_stranger", object, `signed by ${name}, whose key is not known`);
  return wrong ? undefined : checkpoint;
}

/** A checkpoint with its signatures verified, once for many entries that bring it; or what is wrong with its text. */
export function openNote(context: Context, text: string): Promise<OpenedCheckpoint | string> {
  const { policies, opened } = context;
  const opening = opened.get(text) ?? openCheckpoint(text, logOf(context, text), policies.witnesses);
  opened.delete(text);
  opened.set(text, opening);
  for (const [oldest] of opened) if (opened.size > OPENED_MAX) opened.delete(oldest);
  return opening;
}

/** The log that a note names, or the one it should be of. */
function logOf({ log, logs }: Context, note: string): LogKeys | undefined {
  const name = note.slice(0, note.indexOf("\n"));
  return logs.find(({ ed25519 }) => ed25519.name === name) ?? log;
}
