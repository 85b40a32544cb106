/** The key of one encrypted session, as its rows have it. */
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Encryption } from "#durable/format/head.ts";
import type { SessionId } from "#durable/format/ids.ts";
import type { Storing } from "#durable/format/layout.ts";
import { fromBase64, toBase64 } from "#durable/proof/bytes.ts";
import { makeSessionKey } from "#durable/store/keys/envelope.ts";
import type { KeyStore } from "#durable/store/keys/key-store.ts";
import type { SessionRows } from "#durable/store/session-rows.ts";

export type SessionKeyFact = {
  /** What segments are encrypted to. */
  readonly recipient: string;
  /** `key.age` in base64, until it has been read back from its store. */
  readonly wrapped?: string;
  /** Encrypts what the journal keeps of the session, in base64: nobody needs it once the session's rows are gone. */
  readonly journal?: string;
};

type Random = (length: number) => Uint8Array;

/** A new key. Its secret half is in `wrapped` alone, for the auditors: this node cannot read what it will store. */
export async function newSessionKey(auditors: readonly string[], random: Random): Promise<SessionKeyFact> {
  const { recipient, wrapped } = await makeSessionKey(auditors);
  return { recipient, wrapped: toBase64(wrapped), journal: toBase64(new Uint8Array(random(32))) };
}

export const sessionKeyOf = (rows: SessionRows): SessionKeyFact | undefined =>
  rows.fact<SessionKeyFact>("key");

export const storingOf = (rows: SessionRows): Storing => (sessionKeyOf(rows) ? "age" : "clear");

export function encryptionOf(rows: SessionRows): Encryption {
  const key = sessionKeyOf(rows);
  return key ? { scheme: "age", recipient: key.recipient } : "none";
}

/** Stores `key.age`: before any segment, so that nothing lies in the archive that nobody could ever read. */
export async function storeSessionKey(
  rows: SessionRows,
  session: SessionId,
  keys: KeyStore | undefined,
): Promise<void> {
  const key = sessionKeyOf(rows);
  if (key?.wrapped === undefined) return;
  const wrapped = fromBase64(key.wrapped);
  if (!wrapped) throw new Error(`the key of ${session} is not base64`);
  if (!keys)
    throw new Error(`${session} is encrypted, and no store of keys is configured (archive.keys_bucket)`);
  await keys.put(session, wrapped);
  const { wrapped: _, ...rest } = key;
  rows.setFact("key", rest);
}

const CIPHER = "chacha20-poly1305";
const NONCE = 12;
const TAG = 16;

/** What the journal keeps of an encrypted session: nonce, tag, ciphertext. The lines themselves without a key. */
export function closeLines(rows: SessionRows, lines: Uint8Array, random: Random): Uint8Array {
  const key = journalKey(rows);
  if (!key) return lines;
  const nonce = random(NONCE);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG });
  const closed = new Uint8Array(NONCE + TAG + lines.byteLength);
  closed.set(nonce);
  closed.set(cipher.update(lines), NONCE + TAG);
  cipher.final();
  closed.set(cipher.getAuthTag(), NONCE);
  return closed;
}

/** Throws when they are not what `closeLines` gave. */
export function openLines(rows: SessionRows, closed: Uint8Array): Uint8Array {
  const key = journalKey(rows);
  if (!key) return closed;
  const decipher = createDecipheriv(CIPHER, key, closed.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAuthTag(closed.subarray(NONCE, NONCE + TAG));
  const lines = new Uint8Array(decipher.update(closed.subarray(NONCE + TAG)));
  decipher.final();
  return lines;
}

function journalKey(rows: SessionRows): Uint8Array | undefined {
  const { journal } = sessionKeyOf(rows) ?? {};
  return journal === undefined ? undefined : fromBase64(journal);
}
