/** What the verifier asks of `node:crypto`, in a browser, where WebCrypto hashes only what it has as a whole. */
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { Buffer } from "./buffer.ts";

const ALGORITHMS = { sha1, sha256 } as const;
type Algorithm = keyof typeof ALGORITHMS;
type State = ReturnType<typeof sha256.create> | ReturnType<typeof sha1.create>;

class Hash {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  update(bytes: Uint8Array): this {
    this.#state.update(bytes);
    return this;
  }

  copy(): Hash {
    return new Hash(this.#state.clone());
  }

  digest(): Buffer;
  digest(encoding: "hex" | "base64"): string;
  digest(encoding?: "hex" | "base64"): Buffer | string {
    const digest = Buffer.from(this.#state.digest());
    return encoding === undefined ? digest : digest.toString(encoding);
  }
}

export const createHash = (algorithm: Algorithm): Hash => new Hash(ALGORITHMS[algorithm].create());

/** Of Node ≥ 20.12: a digest in one call. */
export function hash(algorithm: Algorithm, bytes: Uint8Array, encoding: "buffer"): Buffer;
export function hash(algorithm: Algorithm, bytes: Uint8Array, encoding?: "hex" | "base64"): string;
export function hash(
  algorithm: Algorithm,
  bytes: Uint8Array,
  encoding: "hex" | "base64" | "buffer" = "hex",
): Buffer | string {
  const whole = createHash(algorithm).update(bytes);
  return encoding === "buffer" ? whole.digest() : whole.digest(encoding);
}
