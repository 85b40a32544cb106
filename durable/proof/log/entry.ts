/** Entries of the log: Rekor v2 `hashedrekord/0.0.2` over a DSSE envelope, byte for byte as Sigstore's clients rebuild it. */
import type { Envelope } from "#durable/format/head.ts";
import { type Bytes, fromBase64, sha256, toBase64, utf8 } from "../bytes.ts";
import { pae } from "../dsse.ts";

export const ENTRY_KIND = { kind: "hashedrekord", version: "0.0.2" } as const;

/** Longest entry of an entry bundle (C2SP tlog-tiles): its length is a uint16. Ours are about 490 bytes. */
export const ENTRY_MAX = 65_535;

/** Members in RFC 8785 order. `spki` is the key that signed the envelope. */
export function entryBody(envelope: Envelope, spki: Uint8Array): Bytes {
  const payload = fromBase64(envelope.payload);
  if (!payload) throw new RangeError("an envelope whose payload is not base64");
  const digest = toBase64(sha256(pae(envelope.payloadType, payload)));
  const verifier = {
    keyDetails: "PKIX_ECDSA_P256_SHA_256",
    publicKey: { rawBytes: toBase64(spki) },
  };
  const spec = {
    hashedRekordV002: {
      data: { algorithm: "SHA2_256", digest },
      signature: { content: envelope.signatures[0].sig, verifier },
    },
  };
  return utf8(JSON.stringify({ apiVersion: ENTRY_KIND.version, kind: ENTRY_KIND.kind, spec }));
}
