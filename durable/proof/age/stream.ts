/**
 * The payload of an age file: a nonce, then STREAM, ChaCha20-Poly1305 over chunks of 64 KiB (age-encryption.org/v1).
 * The runtime's own cipher, because the library's is many times slower (docs/decisions/015-encryption.md).
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import type { Bytes } from "../bytes.ts";

const CIPHER = "chacha20-poly1305";
const CHUNK = 64 * 1024;
const TAG = 16;
export const NONCE = 16;

/** All that an age file has besides its plaintext: the same envelope over the same bytes gives the same file. */
export type Envelope = {
  /** With its MAC and its last LF. */
  readonly header: Bytes;
  /** 16 bytes. Secret. */
  readonly fileKey: Uint8Array;
  /** 16 bytes. */
  readonly nonce: Uint8Array;
};

/** What `size` bytes of plaintext take as a payload, the nonce included. */
export const payloadSize = (size: number): number =>
  NONCE + size + TAG * Math.max(1, Math.ceil(size / CHUNK));

/** The whole age file over `parts`, which come to `size` bytes. Throws when they do not. */
export function sealFile(envelope: Envelope, parts: Iterable<Uint8Array>, size: number): Bytes {
  const sealer = new FileSealer(envelope, size);
  for (const part of parts) sealer.write(part);
  return sealer.end();
}

/** The same, part by part, for whoever has other work to do in between. */
export class FileSealer {
  readonly #key: Uint8Array;
  readonly #file: Bytes;
  /** Index of the last chunk. */
  readonly #last: number;
  /** What has come of a chunk: workerd's cipher takes each whole. */
  readonly #part = new Uint8Array(CHUNK);
  #filled = 0;
  #chunk = 0;
  #at: number;
  #left: number;

  constructor({ header, fileKey, nonce }: Envelope, size: number) {
    this.#key = payloadKey(fileKey, nonce);
    this.#file = new Uint8Array(header.byteLength + payloadSize(size));
    this.#file.set(header);
    this.#file.set(nonce, header.byteLength);
    this.#at = header.byteLength + NONCE;
    this.#last = Math.max(0, Math.ceil(size / CHUNK) - 1);
    this.#left = size;
  }

  write(part: Uint8Array): void {
    this.#left -= part.byteLength;
    if (this.#left < 0) throw new RangeError("more bytes than were announced");
    for (let from = 0; from < part.byteLength; ) {
      const piece = part.subarray(from, from + CHUNK - this.#filled);
      from += piece.byteLength;
      if (piece.byteLength === CHUNK) {
        this.#seal(piece);
        continue;
      }
      this.#part.set(piece, this.#filled);
      this.#filled += piece.byteLength;
      if (this.#filled === CHUNK) this.#flush();
    }
  }

  end(): Bytes {
    if (this.#left > 0) throw new RangeError(`${this.#left} bytes fewer than were announced`);
    if (this.#chunk <= this.#last) this.#flush();
    return this.#file;
  }

  #flush(): void {
    this.#seal(this.#part.subarray(0, this.#filled));
    this.#filled = 0;
  }

  #seal(chunk: Uint8Array): void {
    const nonce = chunkNonce(this.#chunk, this.#chunk === this.#last);
    const cipher = createCipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG });
    this.#put(cipher.update(chunk));
    cipher.final();
    this.#put(cipher.getAuthTag());
    this.#chunk += 1;
  }

  #put(bytes: Uint8Array): void {
    this.#file.set(bytes, this.#at);
    this.#at += bytes.byteLength;
  }
}

/** The plaintext of a payload that begins with its nonce; undefined when any of it is not as it was sealed. */
export function openPayload(fileKey: Uint8Array, payload: Uint8Array): Bytes | undefined {
  const sealed = payload.byteLength - NONCE;
  const chunks = Math.ceil(sealed / (CHUNK + TAG));
  const size = sealed - chunks * TAG;
  // An empty chunk is the only one there is, or there is none.
  if (chunks < 1 || size < 0 || (chunks > 1 && size <= (chunks - 1) * CHUNK)) return undefined;
  const key = payloadKey(fileKey, payload.subarray(0, NONCE));
  const plain = new Uint8Array(size);
  for (let n = 0; n < chunks; n++) {
    const from = NONCE + n * (CHUNK + TAG);
    const until = Math.min(from + CHUNK + TAG, payload.byteLength);
    const decipher = createDecipheriv(CIPHER, key, chunkNonce(n, n === chunks - 1), { authTagLength: TAG });
    decipher.setAuthTag(payload.subarray(until - TAG, until));
    try {
      plain.set(decipher.update(payload.subarray(from, until - TAG)), n * CHUNK);
      decipher.final();
    } catch {
      // A tag that does not hold is an answer here: the caller says of what.
      return undefined;
    }
  }
  return plain;
}

const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", fileKey, nonce, "payload", 32));

/** 11 bytes of counter, big-endian, and whether it is the last. */
function chunkNonce(n: number, last: boolean): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(3, BigInt(n));
  nonce[11] = last ? 1 : 0;
  return nonce;
}
