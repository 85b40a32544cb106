/** What an auditor types or pastes to hold the evidence against: a key, its fingerprint, the log's keys, in any order. */

import { fromBase64, fromHex, toBase64, toHex } from "#durable/proof/bytes.ts";
import type { Finding } from "#durable/proof/finding.ts";
import { importSealKey, KeyUnreadable, readPem, type SealKey } from "#durable/proof/key.ts";
import type { LogKeys } from "#durable/proof/log/checkpoint.ts";
import { ED25519, ML_DSA_44, readVkey } from "#durable/proof/log/note.ts";

export type HeldKeys = {
  readonly key?: SealKey;
  /** `hint` of a key of which only the fingerprint is known. */
  readonly hint?: string;
  readonly log?: LogKeys;
};

const PEM = /-----BEGIN PUBLIC KEY-----[\s\S]*?-----END PUBLIC KEY-----/g;
const HEX = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/gi;
const VKEY = /^\S+\+[0-9a-f]{8}\+\S+$/gm;

/** The keys in a text: a PEM, what `steno keys show` prints, vkeys. Or a sentence that says what is wrong with it. */
export async function readHeld(text: string): Promise<HeldKeys | string> {
  const pems = text.match(PEM) ?? [];
  const prints =
    text
      .replaceAll(/[:\u00a0]/g, "")
      .replaceAll(PEM, "")
      .match(HEX) ?? [];
  const vkeys = text.match(VKEY) ?? [];
  if (pems.length > 1) return "That is more than one key. Paste the one that signs the heads, seal.pub.";
  if (prints.length > 1) return "That is more than one fingerprint.";
  if (pems.length + prints.length + vkeys.length === 0)
    return "There is no key in that. Paste seal.pub (-----BEGIN PUBLIC KEY-----), its SHA-256, or the log's two vkeys.";
  const log = vkeys.length > 0 ? readLog(vkeys) : undefined;
  if (typeof log === "string") return log;
  try {
    const key = pems[0] ? await importSealKey(readPem(pems[0])) : undefined;
    const print = fromHex((prints[0] ?? "").toLowerCase());
    const hint = prints[0] && print ? toBase64(print) : undefined;
    if (key && hint !== undefined && key.hint !== hint)
      return "The key and the fingerprint are not of one key.";
    return { ...(key && { key }), ...(hint !== undefined && { hint }), ...(log && { log }) };
  } catch (error) {
    if (error instanceof KeyUnreadable) return `That key cannot be used: ${error.message}.`;
    throw error;
  }
}

function readLog(lines: readonly string[]): LogKeys | string {
  const keys = lines.map(readVkey);
  const bad = keys.find((key) => typeof key === "string");
  if (typeof bad === "string") return `A line is no vkey: ${bad}.`;
  const known = keys.filter((key) => typeof key !== "string");
  const ed25519 = known.find(({ type }) => type === ED25519);
  const mlDsa = known.find(({ type }) => type === ML_DSA_44);
  if (known.length !== 2 || !ed25519 || !mlDsa || ed25519.name !== mlDsa.name)
    return "Those are not the two keys of one log: paste log.vkey and log-pq.vkey, one a line.";
  return { ed25519, mlDsa };
}

/** A fingerprint stands for the file's own key only when it is that key's. */
export function againstHint(hint: string, published: SealKey | undefined): SealKey | Finding {
  if (published?.hint === hint) return published;
  return {
    severity: "error",
    code: "key_other",
    object: "trust/seal.pub",
    message: `the file's key is ${fingerprint(published?.hint)}; you hold ${fingerprint(hint)}`,
  };
}

/** The hex SHA-256 that `steno keys show` prints, of a base64 hint. */
export const fingerprint = (hint: string | undefined): string =>
  hint === undefined ? "none" : toHex(fromBase64(hint) ?? new Uint8Array());
