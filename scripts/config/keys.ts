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
import { dirname, join } from "node:path";
import { error, type Finding, ok, reason, warning } from "./finding.ts";
import { resolveSecret, showSecretRef } from "./secret.ts";
import type { Settings } from "./settings.ts";

export type NodeKeys = {
  /** PKCS#8 PEM, ECDSA P-256. Secret. */
  readonly sealPem: string;
  /** SubjectPublicKeyInfo PEM. */
  readonly sealPub: string;
  /** PKCS#8 PEM, Ed25519. Secret. */
  readonly logPem: string;
  readonly logPub: string;
  /** PKCS#8 PEM of an ML-DSA-44 seed, as workerd reads it. Secret. */
  readonly logPqPem: string;
  readonly logPqPub: string;
  /** Those of the log before, which may still have to end; absent while there is none. */
  readonly previous?: Pick<NodeKeys, "logPem" | "logPub" | "logPqPem" | "logPqPub">;
  /** 32 bytes. Secret. */
  readonly pseudonym: Uint8Array;
};

type Setting = "sealKey" | "logKey" | "logPqKey" | "previousLogKey" | "previousLogPqKey";
type Kind = {
  readonly setting: Setting;
  /** Below the keys directory, without `.pem` or `.pub`. */
  readonly file: string;
  readonly at: string;
  readonly name: string;
  readonly make: () => KeyObject;
  readonly fits: (key: KeyObject) => boolean;
  readonly write: (key: KeyObject) => string;
};

const pkcs8 = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString();

/** The keys that sign evidence. */
const SEAL: Kind = {
  setting: "sealKey",
  file: "seal",
  at: "seal key",
  name: "ECDSA P-256",
  make: () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  fits: (key) => key.asymmetricKeyDetails?.namedCurve === "prime256v1",
  write: pkcs8,
};
const LOG: Kind = {
  setting: "logKey",
  file: "log",
  at: "log key",
  name: "Ed25519",
  make: () => generateKeyPairSync("ed25519").privateKey,
  fits: (key) => key.asymmetricKeyType === "ed25519",
  write: pkcs8,
};
const LOG_PQ: Kind = {
  setting: "logPqKey",
  file: "log-pq",
  at: "log pq key",
  name: "ML-DSA-44",
  make: () => generateKeyPairSync("ml-dsa-44").privateKey,
  fits: (key) => key.asymmetricKeyType === "ml-dsa-44",
  write: seedPem,
};

type Evidence = Pick<Settings["evidence"], "origin" | "previousOrigins">;

/** The first log's keys have plain names; each that goes on has a directory of its own, so that no key replaces another. */
const folderOf = (origins: readonly string[]): string =>
  origins.length > 1 ? `${origins.at(-1) ?? ""}/` : "";

function kindsOf({ origin, previousOrigins }: Evidence): readonly Kind[] {
  const folder = folderOf([...previousOrigins, origin]);
  return [SEAL, ...[LOG, LOG_PQ].map((kind) => ({ ...kind, file: `${folder}${kind.file}` }))];
}

function previousKinds({ previousOrigins }: Evidence): readonly Kind[] {
  if (previousOrigins.length === 0) return [];
  const folder = folderOf(previousOrigins);
  return [
    { ...LOG, setting: "previousLogKey", file: `${folder}${LOG.file}`, at: "previous log key" },
    { ...LOG_PQ, setting: "previousLogPqKey", file: `${folder}${LOG_PQ.file}`, at: "previous log pq key" },
  ];
}

/** RFC 9881: PKCS#8 of an ML-DSA-44 key that holds only its 32-byte seed, but for the seed. */
const SEED_HEADER = Buffer.from("3034020100300b060960864801650304031104228020", "hex");

/** OpenSSL writes the expanded key as well, which WebCrypto does not read. */
function seedPem(key: KeyObject): string {
  const { priv } = key.export({ format: "jwk" }) as { readonly priv?: string };
  if (priv === undefined) throw new Error("an ML-DSA-44 key without its seed");
  const der = Buffer.concat([SEED_HEADER, Buffer.from(priv, "base64url")]).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${der.replaceAll(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`;
}

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
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // `wx`: two starts at once never see one key replace another.
    writeFileSync(path, content(), { mode: 0o600, flag: "wx" });
    made.push(path);
  };
  for (const kind of kindsOf(settings.evidence)) {
    if (settings.evidence[kind.setting] !== undefined) continue;
    make(`${kind.file}.pem`, () => kind.write(kind.make()));
    make(`${kind.file}.pub`, () =>
      publicPem(createPrivateKey(readFileSync(join(directory, `${kind.file}.pem`)))),
    );
  }
  make("pseudonym.key", () => randomBytes(32));
  return made;
}

export type ReadKeys = { readonly keys?: NodeKeys; readonly findings: readonly Finding[] };

/** Reads the keys that `initKeys` made, or that the configuration names, and says what is wrong with them. */
export function readKeys(settings: Settings, env: Readonly<Record<string, string | undefined>>): ReadKeys {
  const directory = keysDirectory(settings.serve.state);
  const findings: Finding[] = [];
  const read = (kind: Kind) => readKey(kind, settings, env, findings);
  const [seal, log, logPq] = kindsOf(settings.evidence).map(read);
  const kinds = previousKinds(settings.evidence);
  const [oldLog, oldPq] = kinds.map(read);
  const pseudonym = readPseudonym(join(directory, "pseudonym.key"), findings);
  if (!seal || !log || !logPq || !pseudonym || (kinds.length > 0 && !(oldLog && oldPq))) return { findings };
  return {
    keys: {
      sealPem: seal.pem,
      sealPub: seal.pub,
      ...logPems(log, logPq),
      ...(oldLog && oldPq && { previous: logPems(oldLog, oldPq) }),
      pseudonym,
    },
    findings,
  };
}

type Pair = { readonly pem: string; readonly pub: string };
const logPems = (log: Pair, pq: Pair) => ({
  logPem: log.pem,
  logPub: log.pub,
  logPqPem: pq.pem,
  logPqPub: pq.pub,
});

function readKey(
  kind: Kind,
  { serve, evidence }: Settings,
  env: Readonly<Record<string, string | undefined>>,
  findings: Finding[],
): Pair | undefined {
  const own = { kind: "file", path: join(keysDirectory(serve.state), `${kind.file}.pem`) } as const;
  const ref = evidence[kind.setting] ?? own;
  const { text, findings: found } = resolveSecret(kind.at, ref, env);
  findings.push(...found);
  if (text === undefined) return undefined;
  try {
    const key = createPrivateKey(text);
    if (!kind.fits(key)) {
      findings.push(error(kind.at, `${showSecretRef(ref)} is not an ${kind.name} key`));
      return undefined;
    }
    const pub = publicPem(key);
    findings.push(ok(kind.at, `${showSecretRef(ref)}, SHA-256 ${fingerprint(pub)}`));
    return { pem: kind.write(key), pub };
  } catch (thrown) {
    findings.push(error(kind.at, `${showSecretRef(ref)} is not a private key in PEM: ${reason(thrown)}`));
    return undefined;
  }
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
