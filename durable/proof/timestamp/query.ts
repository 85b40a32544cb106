/** What an authority is asked: a timestamp over a SHA-256, for this nonce, and its certificate with it (RFC 3161 §2.4.1). */
import type { Bytes } from "../bytes.ts";
import { BOOLEAN, INTEGER, NULL, OCTETS, OID, SEQUENCE, writeDer } from "./der.ts";

/** 2.16.840.1.101.3.4.2.1. */
const SHA256 = new Uint8Array([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]);

/** A nonce of eight random bytes: positive, and of one length. */
export function nonceOf(random: Uint8Array): Bytes {
  const nonce = new Uint8Array(random.subarray(0, 8));
  nonce[0] = ((nonce[0] ?? 0) & 0x3f) | 0x40;
  return nonce;
}

export function writeQuery(digest: Bytes, nonce: Bytes): Bytes {
  const algorithm = writeDer(SEQUENCE, writeDer(OID, SHA256), writeDer(NULL));
  return writeDer(
    SEQUENCE,
    writeDer(INTEGER, new Uint8Array([1])),
    writeDer(SEQUENCE, algorithm, writeDer(OCTETS, digest)),
    writeDer(INTEGER, nonce),
    writeDer(BOOLEAN, new Uint8Array([0xff])),
  );
}
