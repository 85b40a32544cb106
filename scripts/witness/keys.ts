/** The keys of a witness: PKCS#8 PEM, made where there are none, never replaced. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signWith,
} from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { COSIGNATURE, ML_DSA_44, noteKey } from "#durable/proof/log/note.ts";
import type { Cosigner } from "./cosign.ts";

const KINDS = {
  ed25519: { type: COSIGNATURE, called: "Ed25519" },
  "ml-dsa-44": { type: ML_DSA_44, called: "ML-DSA-44" },
} as const;
export type KeyKind = keyof typeof KINDS;

/** Makes the key of a path when nothing is there. True when it did. */
export function makeKey(path: string, kind: KeyKind): boolean {
  if (existsSync(path)) return false;
  const { privateKey } =
    kind === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ml-dsa-44");
  writeFileSync(path, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx" });
  return true;
}

/** Throws when the file does not hold a key of that kind. */
export function readCosigner(path: string, kind: KeyKind, name: string): Cosigner {
  const { type, called } = KINDS[kind];
  let key: KeyObject;
  try {
    key = createPrivateKey(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Error(`${path} does not hold a private key in PEM`, { cause });
  }
  if (key.asymmetricKeyType !== kind) throw new Error(`${path} does not hold an ${called} key`);
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const raw = new Uint8Array(spki.subarray(spki.byteLength - (kind === "ed25519" ? 32 : 1312)));
  return {
    key: noteKey(name, type, raw),
    sign: async (bytes) => new Uint8Array(signWith(null, bytes, key)),
  };
}
