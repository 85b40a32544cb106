/** X.509 certificates as far as timestamps need them (RFC 5280), and chains of them in PEM, the authority's own first. */
import { type Bytes, equal, fromBase64, toBase64 } from "../bytes.ts";
import { type Algorithm, keyKind, readAlgorithm, verifySignature } from "./algorithm.ts";
import {
  BITS,
  BOOLEAN,
  context,
  type Der,
  expectTag,
  INTEGER,
  integerOf,
  Malformed,
  OCTETS,
  oidOf,
  partsOf,
  readDer,
  SEQUENCE,
  timeOf,
} from "./der.ts";

export type Certificate = {
  readonly der: Bytes;
  readonly serial: Bytes;
  /** DER of the names. */
  readonly issuer: Bytes;
  readonly subject: Bytes;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  readonly spki: Bytes;
  readonly kind: Algorithm["kind"] | undefined;
  readonly keyId: Bytes | undefined;
  /** May sign certificates. */
  readonly ca: boolean;
  /** May sign timestamps, and nothing else. */
  readonly stamps: boolean;
  readonly tbs: Bytes;
  readonly algorithm: Algorithm;
  readonly signature: Bytes;
};

const [KEY_ID, BASIC, USAGE] = ["2.5.29.14", "2.5.29.19", "2.5.29.37"];
const STAMPING = "1.3.6.1.5.5.7.3.8";

/** Throws Malformed. */
function certificateOf(der: Bytes): Certificate {
  const [tbs, algorithm, signature] = partsOf(expectTag(readDer(der), SEQUENCE, "certificate"));
  const all = partsOf(expectTag(tbs, SEQUENCE, "certificate"));
  const [serial, , issuer, validity, subject, spki, ...rest] = all[0]?.tag === INTEGER ? all : all.slice(1);
  const [from, until] = partsOf(expectTag(validity, SEQUENCE, "validity"));
  const extensions = extensionsOf(rest.find(({ tag }) => tag === context(3)));
  const usage = extensions.get(USAGE);
  const basic = extensions.get(BASIC);
  const keyId = extensions.get(KEY_ID);
  const purposes = usage?.critical ? partsOf(readDer(usage.value)).map(oidOf) : [];
  const key = expectTag(spki, SEQUENCE, "public key").whole;
  const bits = expectTag(signature, BITS, "signature").content;
  return {
    der,
    serial: integerOf(serial, "serial number"),
    issuer: expectTag(issuer, SEQUENCE, "issuer").whole,
    subject: expectTag(subject, SEQUENCE, "subject").whole,
    from: timeOf(from, "validity"),
    until: timeOf(until, "validity"),
    spki: key,
    kind: keyKind(key),
    keyId: keyId && expectTag(readDer(keyId.value), OCTETS, "key identifier").content,
    ca: basic !== undefined && partsOf(readDer(basic.value))[0]?.tag === BOOLEAN,
    stamps: purposes.length === 1 && purposes[0] === STAMPING,
    tbs: expectTag(tbs, SEQUENCE, "certificate").whole,
    algorithm: readAlgorithm(algorithm),
    signature: bits.slice(1),
  };
}

type Extension = { readonly critical: boolean; readonly value: Bytes };

function extensionsOf(value: Der | undefined): Map<string, Extension> {
  const extensions = new Map<string, Extension>();
  if (!value) return extensions;
  for (const each of partsOf(readDer(value.content))) {
    const [oid, ...rest] = partsOf(expectTag(each, SEQUENCE, "extension"));
    const value = expectTag(rest.at(-1), OCTETS, "extension").content;
    extensions.set(oidOf(oid), { critical: rest.length === 2 && rest[0]?.tag === BOOLEAN, value });
  }
  return extensions;
}

/** The certificate of its DER, or what is wrong with it. */
export function readCertificate(der: Bytes): Certificate | string {
  try {
    return certificateOf(der);
  } catch (error) {
    if (error instanceof Malformed) return error.message;
    throw error;
  }
}

const PEM = /-----BEGIN CERTIFICATE-----\r?\n([\w+/=\r\n]+)-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, in its order, or what is wrong with it. What stands between them is left out. */
export function readCertificates(pem: string): readonly Certificate[] | string {
  const certificates: Certificate[] = [];
  for (const [, body = ""] of pem.matchAll(PEM)) {
    const der = fromBase64(body.replaceAll(/[\r\n]/g, ""));
    const read = der ? readCertificate(der) : "its base64 is damaged";
    if (typeof read === "string") return `certificate ${certificates.length + 1}: ${read}`;
    certificates.push(read);
  }
  return certificates.length > 0 ? certificates : "there is no certificate in PEM";
}

export const writeCertificates = (certificates: readonly Certificate[]): string =>
  certificates
    .map(({ der }) => toBase64(der).match(/.{1,64}/g) ?? [])
    .map((lines) => `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`)
    .join("");

/**
 * The chain of an authority: its own certificate, which may sign timestamps and nothing else, then each one's issuer, to
 * one that signed itself. Or what is wrong with it.
 */
export async function readChain(pem: string): Promise<readonly Certificate[] | string> {
  const chain = readOrder(pem);
  if (typeof chain === "string") return chain;
  for (const [i, certificate] of chain.entries())
    if (!(await isIssued(certificate, chain[i + 1] ?? certificate)))
      return `the signature of certificate ${i + 1} does not hold`;
  return chain;
}

/** The same, with nothing said of signatures. */
export function readOrder(pem: string): readonly Certificate[] | string {
  const chain = readCertificates(pem);
  if (typeof chain === "string") return chain;
  if (!chain[0]?.stamps)
    return "the first certificate is not an authority's: extendedKeyUsage must be timeStamping alone, and critical";
  for (const [i, certificate] of chain.entries()) {
    const issuer = chain[i + 1] ?? certificate;
    if (equal(certificate.issuer, issuer.subject) && (issuer.ca || issuer === certificate)) continue;
    return issuer === certificate
      ? `it ends with certificate ${i + 1}, whose issuer is another: append its issuer's`
      : `certificate ${i + 2} is not the issuer of certificate ${i + 1}`;
  }
  return chain;
}

export async function isIssued(certificate: Certificate, issuer: Certificate): Promise<boolean> {
  const { algorithm, signature, tbs } = certificate;
  if (!equal(certificate.issuer, issuer.subject)) return false;
  if (!issuer.ca && certificate !== issuer) return false;
  return verifySignature(issuer.spki, algorithm, signature, tbs);
}
