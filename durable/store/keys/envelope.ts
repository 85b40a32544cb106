/** Makes what is secret of encrypted sessions. The library writes age headers; nothing here reads one. */
import {
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from "age-encryption";
import { type Envelope, NONCE } from "#durable/proof/age/stream.ts";
import { type Bytes, utf8 } from "#durable/proof/bytes.ts";

/** A session's key as it leaves the memory: its public half, and the secret half encrypted to the auditors. */
export type SessionKey = {
  /** `age1…`: what segments are encrypted to. */
  readonly recipient: string;
  /** The bytes of `key.age`. */
  readonly wrapped: Bytes;
};

/** Only when all auditors have keys that withstand a quantum computer does the session's own need to. */
const isHybrid = (recipient: string): boolean => /^age1(?:tag)?pq1/.test(recipient);

/** What is wrong with recipients as a whole, or with one of them; undefined when they can be used. */
export function wrongRecipients(recipients: readonly string[]): string | undefined {
  for (const recipient of recipients) {
    const wrong = wrongRecipient(recipient);
    if (wrong !== undefined) return wrong;
  }
  if (new Set(recipients).size < recipients.length) return "names a recipient twice";
  const hybrid = recipients.filter(isHybrid);
  if (hybrid.length > 0 && hybrid.length < recipients.length)
    return "mixes age1pq1… with others: who breaks one of them reads everything, so post-quantum ones stand alone";
  return undefined;
}

function wrongRecipient(recipient: string): string | undefined {
  try {
    encrypterTo([recipient]);
    return undefined;
  } catch (cause) {
    // A secret key may stand there by mistake: it is not repeated.
    const shown = /^age1[a-z0-9]*$/.test(recipient) ? `"${recipient}"` : "what stands there";
    return `${shown} is not a recipient of age, such as age1… (${cause instanceof Error ? cause.message : cause})`;
  }
}

/** A new key for one session. The secret half is nowhere but in what is returned, encrypted. */
export async function makeSessionKey(auditors: readonly string[]): Promise<SessionKey> {
  const identity = await (auditors.every(isHybrid) ? generateHybridIdentity() : generateX25519Identity());
  const recipient = await identityToRecipient(identity);
  return { recipient, wrapped: await wrapIdentity(identity, auditors) };
}

/** `key.age` for these auditors. */
export async function wrapIdentity(identity: string, auditors: readonly string[]): Promise<Bytes> {
  return new Uint8Array(await encrypterTo(auditors).encrypt(utf8(`${identity}\n`)));
}

/** A new envelope to `recipient`. `random` gives as many bytes as it is asked for. */
export async function makeEnvelope(
  recipient: string,
  random: (length: number) => Uint8Array,
): Promise<Envelope> {
  let fileKey = new Uint8Array();
  const encrypter = encrypterTo([recipient]);
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = key.slice();
      return [];
    },
  });
  // Of the empty file only the header is used: the payload behind it is a nonce and a tag.
  const empty = await encrypter.encrypt(new Uint8Array());
  return { header: new Uint8Array(empty.slice(0, -32)), fileKey, nonce: random(NONCE) };
}

function encrypterTo(recipients: readonly string[]): Encrypter {
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter;
}
