// The log of golden.json: its keys, from their seeds, with WebCrypto as Node and workerd both have it.
import { fromHex } from "#durable/proof/bytes.ts";
import { type LogSigner, logKeys } from "#durable/proof/log/checkpoint.ts";
import golden from "../vectors/golden.json" with { type: "json" };

export const ORIGIN = "seal-2026.gw.example";

/** RFC 8410 and RFC 9881: PKCS#8 of a key that holds only its seed, but for the seed. */
const SEEDS = {
  Ed25519: ["302e020100300506032b657004220420", golden.logKeySeedHex],
  "ML-DSA-44": ["3034020100300b060960864801650304031104228020", golden.mldsaSeedHex],
} as const;

type Modern = { getPublicKey(key: CryptoKey, usages: string[]): Promise<CryptoKey> };

async function keyOf(algorithm: keyof typeof SEEDS) {
  const der = fromHex(SEEDS[algorithm].join("")) ?? new Uint8Array();
  const secret = await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  const key = await (crypto.subtle as unknown as Modern).getPublicKey(secret, ["verify"]);
  const format = (algorithm === "Ed25519" ? "raw" : "raw-public") as "raw";
  const raw = new Uint8Array((await crypto.subtle.exportKey(format, key)) as ArrayBuffer);
  const sign = async (bytes: Uint8Array<ArrayBuffer>) =>
    new Uint8Array(await crypto.subtle.sign(algorithm, secret, bytes));
  return { raw, sign };
}

export async function logSigner(origin = ORIGIN): Promise<LogSigner> {
  const [ed25519, mlDsa] = [await keyOf("Ed25519"), await keyOf("ML-DSA-44")];
  return { keys: logKeys(origin, ed25519.raw, mlDsa.raw), ed25519: ed25519.sign, mlDsa: mlDsa.sign };
}
