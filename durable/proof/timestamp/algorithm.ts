/** Signatures as certificates and CMS name them: ECDSA and RSA (PKCS #1 v1.5) over SHA-2, verified by WebCrypto. */
import { type Bytes, equal } from "../bytes.ts";
import { type Der, expectTag, integerOf, Malformed, oidOf, partsOf, readDer, SEQUENCE } from "./der.ts";

export type Hash = "SHA-256" | "SHA-384" | "SHA-512";
export type Algorithm = { readonly hash: Hash; readonly kind: "ecdsa" | "rsa"; readonly digest: Hash };

const HASHES: Readonly<Record<string, Hash>> = {
  "2.16.840.1.101.3.4.2.1": "SHA-256",
  "2.16.840.1.101.3.4.2.2": "SHA-384",
  "2.16.840.1.101.3.4.2.3": "SHA-512",
};
const SIGNATURES: Readonly<Record<string, readonly ["ecdsa" | "rsa", Hash]>> = {
  "1.2.840.10045.4.3.2": ["ecdsa", "SHA-256"],
  "1.2.840.10045.4.3.3": ["ecdsa", "SHA-384"],
  "1.2.840.10045.4.3.4": ["ecdsa", "SHA-512"],
  "1.2.840.113549.1.1.11": ["rsa", "SHA-256"],
  "1.2.840.113549.1.1.12": ["rsa", "SHA-384"],
  "1.2.840.113549.1.1.13": ["rsa", "SHA-512"],
};
/** CMS names the key's algorithm alone, and the hash beside it. */
const RSA = "1.2.840.113549.1.1.1";
const EC = "1.2.840.10045.2.1";
const CURVES: Readonly<Record<string, readonly [name: string, bytes: number]>> = {
  "1.2.840.10045.3.1.7": ["P-256", 32],
  "1.3.132.0.34": ["P-384", 48],
  "1.3.132.0.35": ["P-521", 66],
};

export const hashOf = (oid: string): Hash | undefined => HASHES[oid];

/** Of an AlgorithmIdentifier. `digest`: object identifier of the hash that CMS names beside it. Throws Malformed. */
export function readAlgorithm(value: Der | undefined, digest?: string): Algorithm {
  const oid = oidOf(partsOf(expectTag(value, SEQUENCE, "signature algorithm"))[0]);
  const beside = digest === undefined ? undefined : HASHES[digest];
  const [kind, hash] = SIGNATURES[oid] ?? (oid === RSA ? (["rsa", beside] as const) : []);
  if (!kind || !hash || (digest !== undefined && !beside))
    throw new Malformed(`signed with ${oid} over ${digest ?? "its hash"}, which is not read here`);
  return { kind, hash, digest: beside ?? hash };
}

/** What kind of key a SubjectPublicKeyInfo holds; undefined for one that is not read here. */
export function keyKind(spki: Bytes): Algorithm["kind"] | undefined {
  const [kind] = partsOf(partsOf(readDer(spki))[0] ?? readDer(spki));
  const oid = oidOf(kind);
  return oid === EC ? "ecdsa" : oid === RSA ? "rsa" : undefined;
}

/** Whether the signature over the bytes is the key's. Throws Malformed. */
export async function verifySignature(
  spki: Bytes,
  { kind, hash }: Pick<Algorithm, "kind" | "hash">,
  signature: Bytes,
  bytes: Bytes,
): Promise<boolean> {
  if (keyKind(spki) !== kind) return false;
  const { subtle } = crypto;
  try {
    if (kind === "rsa") {
      const rsa = { name: "RSASSA-PKCS1-v1_5", hash };
      return await subtle.verify(
        rsa,
        await subtle.importKey("spki", spki, rsa, false, ["verify"]),
        signature,
        bytes,
      );
    }
    const [, curve] = partsOf(partsOf(readDer(spki))[0] ?? readDer(spki));
    const [namedCurve, width] = CURVES[oidOf(curve)] ?? [];
    const raw = width === undefined ? undefined : rawSignature(signature, width);
    if (namedCurve === undefined || !raw) return false;
    const key = await subtle.importKey("spki", spki, { name: "ECDSA", namedCurve }, false, ["verify"]);
    return await subtle.verify({ name: "ECDSA", hash }, key, raw, bytes);
  } catch (error) {
    // A key that is none, such as a point beside its curve, has signed nothing.
    if (error instanceof Malformed || error instanceof DOMException) return false;
    throw error;
  }
}

/** DER SEQUENCE { r, s } as r‖s. Throws Malformed. */
function rawSignature(der: Bytes, width: number): Bytes | undefined {
  const raw = new Uint8Array(width * 2);
  const numbers = partsOf(expectTag(readDer(der), SEQUENCE, "signature"));
  for (const [i, number] of numbers.entries()) {
    const octets = integerOf(number, "signature");
    const magnitude = octets[0] === 0 ? octets.subarray(1) : octets;
    if ((octets[0] ?? 0x80) >= 0x80 || magnitude.byteLength > width || i > 1) return undefined;
    raw.set(magnitude, (i + 1) * width - magnitude.byteLength);
  }
  return numbers.length === 2 ? raw : undefined;
}

/** Whether `digest` is that of the bytes. */
export async function isDigest(hash: Hash | "SHA-1", digest: Bytes, bytes: Bytes): Promise<boolean> {
  return equal(digest, new Uint8Array(await crypto.subtle.digest(hash, bytes)));
}
