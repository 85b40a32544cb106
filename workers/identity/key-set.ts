/**
 * A JWK set, and which of its keys may have signed a token.
 *
 * jose's own local set keeps the promise of a key import for other callers; in workerd a promise may only be
 * awaited by the request that made it. So keys are imported here and kept as values.
 */
import { importJWK, type JWK, type JWTHeaderParameters } from "jose";

/** Algorithms that may be configured at all. `none` and HMAC are not among them and cannot be added. */
const KEY_TYPES: Readonly<Record<string, { readonly kty: string; readonly crv?: string }>> = {
  RS256: { kty: "RSA" },
  RS384: { kty: "RSA" },
  RS512: { kty: "RSA" },
  PS256: { kty: "RSA" },
  PS384: { kty: "RSA" },
  PS512: { kty: "RSA" },
  ES256: { kty: "EC", crv: "P-256" },
  ES384: { kty: "EC", crv: "P-384" },
  ES512: { kty: "EC", crv: "P-521" },
  EdDSA: { kty: "OKP", crv: "Ed25519" },
  Ed25519: { kty: "OKP", crv: "Ed25519" },
};

/** What of a configured list is accepted. */
export const safeAlgorithms = (configured: readonly string[]): string[] =>
  configured.filter((alg) => Object.hasOwn(KEY_TYPES, alg));

/** Without a `kid` so many keys are tried, not more: an issuer with more has to name them. */
const TRIED_MAX = 4;

type Entry = { readonly jwk: JWK; readonly imported: Map<string, CryptoKey> };

export class KeySet {
  readonly #entries: readonly Entry[];

  private constructor(entries: readonly Entry[]) {
    this.#entries = entries;
  }

  /** Throws when the text is no JWK set (RFC 7517 §5). Keys that cannot verify a signature are left out. */
  static parse(text: string): KeySet {
    const set: unknown = JSON.parse(text);
    const keys = typeof set === "object" && set !== null && "keys" in set ? set.keys : undefined;
    if (!Array.isArray(keys)) throw new Error("not a JWK set: it has no array of keys");
    return new KeySet(keys.filter(isPublicJwk).map((jwk) => ({ jwk, imported: new Map() })));
  }

  /** The keys that fit a token's header; none when the set does not know its `kid`. */
  async candidates(header: JWTHeaderParameters): Promise<readonly CryptoKey[]> {
    const wanted = Object.hasOwn(KEY_TYPES, header.alg) ? KEY_TYPES[header.alg] : undefined;
    if (!wanted) return [];
    const fitting = this.#entries.filter(({ jwk }) => {
      if (header.kid !== undefined && jwk.kid !== header.kid) return false;
      if (jwk.kty !== wanted.kty || (wanted.crv !== undefined && jwk.crv !== wanted.crv)) return false;
      if (jwk.use !== undefined && jwk.use !== "sig") return false;
      if (jwk.key_ops !== undefined && !jwk.key_ops.includes("verify")) return false;
      return jwk.alg === undefined || jwk.alg === header.alg || (wanted.kty === "OKP" && isEd25519(jwk.alg));
    });
    const keys: CryptoKey[] = [];
    for (const entry of fitting.slice(0, TRIED_MAX)) {
      const key = await imported(entry, header.alg);
      if (key) keys.push(key);
    }
    return keys;
  }
}

// RFC 9864: `Ed25519` is the fully-specified name of what `EdDSA` means here.
const isEd25519 = (alg: string): boolean => alg === "EdDSA" || alg === "Ed25519";

function isPublicJwk(value: unknown): value is JWK {
  if (typeof value !== "object" || value === null) return false;
  const { kty, kid, alg, key_ops, d } = value as Readonly<Record<string, unknown>>;
  return (
    (kty === "RSA" || kty === "EC" || kty === "OKP") &&
    (kid === undefined || typeof kid === "string") &&
    (alg === undefined || typeof alg === "string") &&
    (key_ops === undefined || Array.isArray(key_ops)) &&
    d === undefined
  );
}

async function imported(entry: Entry, alg: string): Promise<CryptoKey | undefined> {
  const known = entry.imported.get(alg);
  if (known) return known;
  const { kty, crv, x, y, n, e } = entry.jwk;
  const members = Object.entries({ crv, x, y, n, e }).filter(([, member]) => member !== undefined);
  try {
    const key = await importJWK({ kty, ...Object.fromEntries(members) } as JWK, alg);
    if (!(key instanceof CryptoKey)) return undefined;
    entry.imported.set(alg, key);
    return key;
  } catch {
    // One broken key must not spoil the set: a token it should have signed finds no key and is refused.
    return undefined;
  }
}
