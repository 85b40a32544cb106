/** Whether a token is signed by somebody who is trusted to make timestamps (RFC 3161 §2.3, RFC 5652 §5.4, RFC 5816). */
import { type Bytes, equal, toHex } from "../bytes.ts";
import { hashOf, isDigest, verifySignature } from "./algorithm.ts";
import { type Certificate, isIssued, readCertificate } from "./certificate.ts";
import { expectTag, Malformed, OCTETS, oidOf, partsOf, SEQUENCE } from "./der.ts";
import type { Signed, Token } from "./token.ts";

const [CONTENT_TYPE, MESSAGE_DIGEST] = ["1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"];
const TST_INFO = "1.2.840.113549.1.9.16.1.4";
/** Which certificate signed, by its SHA-1, or by a hash of its choice. */
const [SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2] = [
  "1.2.840.113549.1.9.16.2.12",
  "1.2.840.113549.1.9.16.2.47",
];
/** Issuers between a signer and one who is trusted. */
const DEPTH = 6;

/**
 * What is wrong with the signature of a token, or undefined. `trusted`: certificates of authorities, or of who issued
 * theirs. Without any, only that the signed attributes are of what the token says.
 */
export async function wrongSignature(
  token: Token,
  trusted: readonly Certificate[],
): Promise<string | undefined> {
  try {
    return await wrongIn(token, trusted);
  } catch (error) {
    if (error instanceof Malformed) return error.message;
    throw error;
  }
}

async function wrongIn(
  { said, signed, at }: Token,
  trusted: readonly Certificate[],
): Promise<string | undefined> {
  const { values, algorithm } = signed;
  const digest = expectTag(values.get(MESSAGE_DIGEST), OCTETS, "digest of what it says");
  if (oidOf(values.get(CONTENT_TYPE)) !== TST_INFO) return "what is signed is not of a TSTInfo";
  if (!(await isDigest(algorithm.digest, digest.content, said))) return "what is signed is not what it says";
  if (trusted.length === 0) return undefined;
  const given = signed.certificates.map(readCertificate).filter((read) => typeof read !== "string");
  let wrong = `signed by ${nameOf(signed.by)}, whose certificate is not there`;
  // Names and numbers are the issuers' own: two of them may give the same.
  for (const signer of [...trusted, ...given].filter((each) => isSigner(each, signed.by))) {
    const found = await wrongBy(signer, signed, trusted, given, at);
    if (found === undefined) return undefined;
    wrong = found;
  }
  return wrong;
}

async function wrongBy(
  signer: Certificate,
  signed: Signed,
  trusted: readonly Certificate[],
  given: readonly Certificate[],
  at: number,
): Promise<string | undefined> {
  if (!signer.stamps) return "its signer's certificate is not for timestamps";
  if (!(await isNamed(signer, signed))) return "its signed attributes name another certificate";
  if (!(await verifySignature(signer.spki, signed.algorithm, signed.signature, signed.attributes)))
    return "its signature does not hold";
  return wrongTrust(signer, trusted, given, at);
}

const isSigner = ({ issuer, serial, keyId }: Certificate, by: Signed["by"]): boolean =>
  "keyId" in by
    ? keyId !== undefined && equal(keyId, by.keyId)
    : equal(issuer, by.issuer) && equal(serial, by.serial);

const nameOf = (by: Signed["by"]): string =>
  "keyId" in by ? `the key ${toHex(by.keyId)}` : `certificate number ${toHex(by.serial)}`;

/** RFC 5035: one key may be in two certificates, and the token says which was meant. */
async function isNamed({ der }: Certificate, { values }: Signed): Promise<boolean> {
  const second = values.get(SIGNING_CERTIFICATE_V2);
  const value = second ?? values.get(SIGNING_CERTIFICATE);
  const [list] = partsOf(expectTag(value, SEQUENCE, "name of the signer's certificate"));
  const [own] = partsOf(expectTag(list, SEQUENCE, "name of the signer's certificate"));
  const parts = partsOf(expectTag(own, SEQUENCE, "name of the signer's certificate"));
  const hash = expectTag(
    parts.find(({ tag }) => tag === OCTETS),
    OCTETS,
    "hash of the signer's certificate",
  ).content;
  if (!second) return isDigest("SHA-1", hash, der);
  const named = parts[0]?.tag === SEQUENCE ? hashOf(oidOf(partsOf(parts[0])[0])) : "SHA-256";
  return named !== undefined && isDigest(named, hash, der);
}

/** From the signer, issuer by issuer, to one who is trusted; each valid at the time that the token says. */
async function wrongTrust(
  signer: Certificate,
  trusted: readonly Certificate[],
  given: readonly Certificate[],
  at: number,
): Promise<string | undefined> {
  let certificate: Certificate = signer;
  for (let depth = 0; depth < DEPTH; depth++) {
    if (at < certificate.from || at > certificate.until) return "a certificate was not valid at its time";
    if (trusted.some(({ der }: { der: Bytes }) => equal(der, certificate.der))) return undefined;
    const issuer = await issuerOf(certificate, [...trusted, ...given]);
    if (!issuer || issuer === certificate) break;
    certificate = issuer;
  }
  return "its signer's certificate is not from who is trusted";
}

async function issuerOf(
  certificate: Certificate,
  all: readonly Certificate[],
): Promise<Certificate | undefined> {
  for (const each of all) if (await isIssued(certificate, each)) return each;
  return undefined;
}
