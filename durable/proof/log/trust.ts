/** The files of `trust/` that say whose log it is. Each follows from the keys, and from the chains of timestamp authorities, so none can say anything else. */
import { type Bytes, concat, fromBase64, toBase64, utf8 } from "../bytes.ts";
import type { Certificate } from "../timestamp/certificate.ts";
import { logId } from "./bundle.ts";
import type { LogKeys } from "./checkpoint.ts";
import { writeVkey } from "./note.ts";

/** RFC 8410: SubjectPublicKeyInfo of an Ed25519 key, but for its 32 bytes. */
const ED25519_SPKI = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/** RFC 9881: the same of an ML-DSA-44 key, but for its 1312 bytes. */
// biome-ignore format: one DER header
const ML_DSA_SPKI = [0x30, 0x82, 5, 0x32, 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 0x11, 3, 0x82, 5, 0x21, 0];

export const ed25519Spki = (key: Bytes): Bytes => concat([new Uint8Array(ED25519_SPKI), key]);

/** The raw keys of two PEM texts. Throws unless each is exactly one key of its kind. */
export function readLogPems(ed25519: string, mlDsa: string): { ed25519: Bytes; mlDsa: Bytes } {
  return { ed25519: rawOf(ed25519, ED25519_SPKI, 32), mlDsa: rawOf(mlDsa, ML_DSA_SPKI, 1312) };
}

function rawOf(pem: string, header: readonly number[], length: number): Bytes {
  const [, body = ""] =
    /^-----BEGIN PUBLIC KEY-----\n([\w+/=\n]+)\n-----END PUBLIC KEY-----\n?$/.exec(pem) ?? [];
  const der = fromBase64(body.replaceAll("\n", ""));
  if (der?.byteLength !== header.length + length || !header.every((byte, i) => der[i] === byte))
    throw new RangeError("a log key that is not the public key it should be");
  return der.slice(header.length);
}

export const vkeyFile = (keys: LogKeys, which: keyof LogKeys): Bytes => utf8(`${writeVkey(keys[which])}\n`);

/**
 * A Sigstore trusted root for clients that verify with `seal.pub` as the key: our log, and nobody else's; and the
 * authorities whose timestamps seals may bear, each a chain that `readChain` accepts.
 */
export function trustedRoot(
  { ed25519 }: LogKeys,
  authorities: readonly (readonly Certificate[])[] = [],
): Bytes {
  const keyId = logId(ed25519);
  const publicKey = {
    rawBytes: toBase64(ed25519Spki(ed25519.bytes)),
    keyDetails: "PKIX_ED25519",
    // A log has one key for as long as it exists: no time can be outside.
    validFor: { start: "1970-01-01T00:00:00Z" },
  };
  const log = {
    baseUrl: `https://${ed25519.name}`,
    hashAlgorithm: "SHA2_256",
    publicKey,
    logId: { keyId },
    checkpointKeyId: { keyId },
  };
  const root = {
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [log],
    certificateAuthorities: [],
    ctlogs: [],
    timestampAuthorities: authorities.map(authorityOf),
  };
  return utf8(`${JSON.stringify(root, null, 2)}\n`);
}

const authorityOf = (chain: readonly Certificate[]) => ({
  certChain: { certificates: chain.map(({ der }) => ({ rawBytes: toBase64(der) })) },
  // Its own certificate's: a token is held against those by the clients themselves.
  validFor: { start: timeText(chain[0]?.from ?? 0), end: timeText(chain[0]?.until ?? 0) },
});

const timeText = (at: number): string => new Date(at).toISOString();
