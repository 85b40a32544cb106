/** The node's own keys, under the state directory: made once, mode 0600, never replaced by us. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { error, type Finding, ok, reason, warning } from "./finding.ts";
import { resolveSecret, showSecretRef } from "./secret.ts";
import type { Settings } from "./settings.ts";

export type NodeKeys = {
  /** PKCS#8 PEM, ECDSA P-256. Secret. */
  readonly sealPem: string;
  /** SubjectPublicKeyInfo PEM. */
  readonly sealPub: string;
  /** 32 bytes. Secret. */
  readonly pseudonym: Uint8Array;
};

export const keysDirectory = (state: string): string => join(state, "keys");

/** Makes what is missing; what exists is left alone. Returns the paths that were made. */
export function initKeys(settings: Settings): readonly string[] {
  const directory = keysDirectory(settings.serve.state);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(settings.serve.state, 0o700);
  chmodSync(directory, 0o700);
  const made: string[] = [];
  const make = (name: string, content: () => string | Uint8Array) => {
    const path = join(directory, name);
    if (existsSync(path)) return;
    // `wx`: two starts at once never see one key replace another.
    writeFileSync(path, content(), { mode: 0o600, flag: "wx" });
    made.push(path);
  };
  if (settings.evidence.sealKey === undefined) {
    make("seal.pem", () => {
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return privateKey.export({ type: "pkcs8", format: "pem" });
    });
    make("seal.pub", () => publicPem(createPrivateKey(readFileSync(join(directory, "seal.pem")))));
  }
  make("pseudonym.key", () => randomBytes(32));
  return made;
}

export type ReadKeys = { readonly keys?: NodeKeys; readonly findings: readonly Finding[] };

/** Reads the keys that `initKeys` made, or that the configuration names, and says what is wrong with them. */
export function readKeys(settings: Settings, env: Readonly<Record<string, string | undefined>>): ReadKeys {
  const directory = keysDirectory(settings.serve.state);
  const own = { kind: "file", path: join(directory, "seal.pem") } as const;
  const ref = settings.evidence.sealKey ?? own;
  const seal = resolveSecret("seal key", ref, env);
  const findings = [...seal.findings];
  let parsed: KeyObject | undefined;
  try {
    if (seal.text !== undefined) parsed = createPrivateKey(seal.text);
  } catch (thrown) {
    findings.push(error("seal key", `${showSecretRef(ref)} is not a private key in PEM: ${reason(thrown)}`));
  }
  if (parsed !== undefined && parsed.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    findings.push(error("seal key", `${showSecretRef(ref)} is not an ECDSA P-256 key`));
    parsed = undefined;
  }
  const pseudonym = readPseudonym(join(directory, "pseudonym.key"), findings);
  if (parsed === undefined || pseudonym === undefined) return { findings };
  const sealPub = publicPem(parsed);
  findings.push(ok("seal key", `${showSecretRef(ref)}, SHA-256 ${fingerprint(sealPub)}`));
  const sealPem = parsed.export({ type: "pkcs8", format: "pem" }).toString();
  return { keys: { sealPem, sealPub, pseudonym }, findings };
}

function readPseudonym(path: string, findings: Finding[]): Uint8Array | undefined {
  try {
    if ((statSync(path).mode & 0o077) !== 0) findings.push(warning("pseudonym key", `chmod 600 ${path}`));
    const bytes = readFileSync(path);
    if (bytes.length === 32) return bytes;
    findings.push(error("pseudonym key", `${path} does not hold 32 bytes`));
  } catch (thrown) {
    findings.push(error("pseudonym key", `cannot read ${path}: ${reason(thrown)}`));
  }
  return undefined;
}

const publicPem = (key: KeyObject): string =>
  createPublicKey(key).export({ type: "spki", format: "pem" }).toString();

/** SHA-256 over the DER of a SubjectPublicKeyInfo PEM, hex. */
export function fingerprint(pem: string): string {
  const der = createPublicKey(pem).export({ type: "spki", format: "der" });
  return createHash("sha256").update(der).digest("hex");
}
