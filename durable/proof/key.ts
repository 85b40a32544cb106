/** The public half of the seal key: ECDSA P-256 as SubjectPublicKeyInfo, in PEM. */
import { type Bytes, concat, equal, fromBase64, sha256, toBase64 } from "./bytes.ts";

/** RFC 5480: id-ecPublicKey, prime256v1, then an uncompressed point. Every SPKI of the kind begins so. */
// biome-ignore format: one DER header
const HEADER = new Uint8Array([0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 3, 0x42, 0, 4]);
const BEGIN = "-----BEGIN PUBLIC KEY-----";
const END = "-----END PUBLIC KEY-----";

export class KeyUnreadable extends Error {
  override readonly name = "KeyUnreadable";
}

export type SealKey = {
  readonly spki: Bytes;
  /** What a bundle's `publicKey.hint` says: base64 SHA-256 of the SPKI. */
  readonly hint: string;
  readonly key: CryptoKey;
};

export function toPem(spki: Uint8Array): string {
  const lines = toBase64(spki).match(/.{1,64}/g) ?? [];
  return `${BEGIN}\n${lines.join("\n")}\n${END}\n`;
}

/** The SPKI of a PEM text. Throws KeyUnreadable unless it is exactly one P-256 public key, written as openssl does. */
export function readPem(text: string): Bytes {
  const lines = text.replaceAll("\r\n", "\n").trim().split("\n");
  if (lines[0] !== BEGIN || lines.at(-1) !== END) throw new KeyUnreadable("not a PEM public key");
  const spki = fromBase64(lines.slice(1, -1).join(""));
  if (!spki) throw new KeyUnreadable("the base64 between the PEM lines is damaged");
  if (spki.byteLength !== 91 || !equal(spki.subarray(0, HEADER.byteLength), HEADER))
    throw new KeyUnreadable("not an ECDSA P-256 public key");
  return spki;
}

/** SPKI of the uncompressed point of a P-256 key: 0x04, then x and y. */
export const spkiOf = (point: Uint8Array): Bytes => concat([HEADER.subarray(0, -1), point]);

export const keyHint = (spki: Uint8Array): string => toBase64(sha256(spki));

/** Throws KeyUnreadable also when the point is not on the curve. */
export async function importSealKey(spki: Bytes): Promise<SealKey> {
  try {
    const key = await crypto.subtle.importKey("spki", spki, { name: "ECDSA", namedCurve: "P-256" }, true, [
      "verify",
    ]);
    return { spki, hint: keyHint(spki), key };
  } catch (cause) {
    throw new KeyUnreadable("not a point of P-256", { cause });
  }
}
