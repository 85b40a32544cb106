/** Signature algorithms that the verifier asks of WebCrypto and a browser may lack: then a library's are put in its place. */
import { ed25519 } from "@noble/curves/ed25519.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";

type Verify = (signature: Uint8Array, signed: Uint8Array, key: Uint8Array) => boolean;

const LIBRARY: Readonly<Record<string, Verify>> = {
  Ed25519: (signature, signed, key) => ed25519.verify(signature, signed, key, { zip215: false }),
  "ML-DSA-44": (signature, signed, key) => ml_dsa44.verify(signature, signed, key),
};

/** A raw key that the browser does not know what to do with. */
class LibraryKey {
  readonly algorithm: string;
  readonly raw: Uint8Array;

  constructor(algorithm: string, raw: Uint8Array) {
    this.algorithm = algorithm;
    this.raw = raw;
  }
}

type Import = (format: string, raw: Uint8Array, algorithm: unknown, ...rest: unknown[]) => Promise<unknown>;
type Check = (
  algorithm: unknown,
  key: unknown,
  signature: Uint8Array,
  signed: Uint8Array,
) => Promise<boolean>;

/** After this, `importKey` and `verify` know both algorithms of a log. What the browser has itself is used first. */
export function completeSubtle(subtle: SubtleCrypto): void {
  const native = {
    importKey: subtle.importKey.bind(subtle) as unknown as Import,
    verify: subtle.verify.bind(subtle) as unknown as Check,
  };
  const importKey: Import = async (format, raw, algorithm, ...rest) => {
    try {
      return await native.importKey(format, raw, algorithm, ...rest);
    } catch (error) {
      if (typeof algorithm !== "string" || !Object.hasOwn(LIBRARY, algorithm)) throw error;
      // Unknown algorithms and unknown formats are refused in words that differ from browser to browser.
      return new LibraryKey(algorithm, raw);
    }
  };
  const verify: Check = async (algorithm, key, signature, signed) => {
    if (!(key instanceof LibraryKey)) return native.verify(algorithm, key, signature, signed);
    try {
      return LIBRARY[key.algorithm]?.(signature, signed, key.raw) ?? false;
    } catch {
      // A signature or key of a wrong length: the library throws where WebCrypto says false.
      return false;
    }
  };
  Object.defineProperties(subtle, { importKey: { value: importKey }, verify: { value: verify } });
}
