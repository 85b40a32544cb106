/** DSSE v1 envelopes with one ECDSA P-256/SHA-256 signature: DER in the envelope, r‖s where WebCrypto speaks. */
import { type Envelope, PAYLOAD_TYPE } from "#durable/format/head.ts";
import { type Bytes, concat, fromBase64, toBase64, utf8 } from "./bytes.ts";

/** Signs with ECDSA P-256 over SHA-256 and answers r‖s, 64 bytes: what `crypto.subtle.sign` gives. */
export type Signer = (bytes: Bytes) => Promise<Uint8Array>;

/** DSSE v1 pre-authentication encoding: the bytes that are signed. */
export function pae(payloadType: string, payload: Uint8Array): Bytes {
  const type = utf8(payloadType);
  return concat([utf8(`DSSEv1 ${type.byteLength} `), type, utf8(` ${payload.byteLength} `), payload]);
}

export const subtleSigner =
  (key: CryptoKey): Signer =>
  async (bytes) =>
    new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, bytes));

export async function signEnvelope(payload: Uint8Array, sign: Signer): Promise<Envelope> {
  const signature = await sign(pae(PAYLOAD_TYPE, payload));
  return {
    payload: toBase64(payload),
    payloadType: PAYLOAD_TYPE,
    signatures: [{ sig: toBase64(p1363ToDer(signature)) }],
  };
}

/** The payload, when the signature over it is the key's; undefined otherwise. */
export async function openEnvelope(envelope: Envelope, key: CryptoKey): Promise<Bytes | undefined> {
  const payload = fromBase64(envelope.payload);
  const der = fromBase64(envelope.signatures[0].sig);
  const signature = der && derToP1363(der);
  if (!payload || !signature) return undefined;
  const signed = pae(envelope.payloadType, payload);
  const holds = await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, signed);
  return holds ? payload : undefined;
}

/** r‖s, 64 bytes, to DER SEQUENCE { INTEGER r, INTEGER s }. */
export function p1363ToDer(signature: Uint8Array): Bytes {
  if (signature.byteLength !== 64) throw new RangeError(`a P-256 signature of ${signature.byteLength} bytes`);
  const body = concat([derInteger(signature.subarray(0, 32)), derInteger(signature.subarray(32))]);
  return concat([new Uint8Array([0x30, body.byteLength]), body]);
}

function derInteger(big: Uint8Array): Bytes {
  let from = 0;
  while (from < big.byteLength - 1 && big[from] === 0) from += 1;
  const value = big.subarray(from);
  const pad = (value[0] ?? 0) & 0x80 ? [0] : [];
  return concat([new Uint8Array([2, value.byteLength + pad.length, ...pad]), value]);
}

/** DER to r‖s; undefined unless it is the one DER encoding of two non-negative integers of at most 32 bytes. */
export function derToP1363(der: Uint8Array): Bytes | undefined {
  if (der.byteLength < 8 || der[0] !== 0x30 || der[1] !== der.byteLength - 2) return undefined;
  const signature = new Uint8Array(64);
  let at = 2;
  for (const end of [32, 64]) {
    const length = der[at + 1] ?? 0;
    const value = der.subarray(at + 2, at + 2 + length);
    if (der[at] !== 2 || length === 0 || value.byteLength !== length) return undefined;
    const first = value[0] ?? 0;
    if (first & 0x80 || (first === 0 && length > 1 && !((value[1] ?? 0) & 0x80))) return undefined;
    const magnitude = first === 0 && length > 1 ? value.subarray(1) : value;
    if (magnitude.byteLength > 32) return undefined;
    signature.set(magnitude, end - magnitude.byteLength);
    at += 2 + length;
  }
  return at === der.byteLength ? signature : undefined;
}
