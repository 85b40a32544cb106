/** A TimeStampResp (RFC 3161 §2.4.2), as it comes and as it is stored: read whole, its signature not yet verified. */
import { type Bytes, equal, readUtf8, sha256, toHex } from "../bytes.ts";
import { type Algorithm, readAlgorithm } from "./algorithm.ts";
import {
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
  SET,
  smallOf,
  TIME,
  timeOf,
  UTF8,
  writeDer,
} from "./der.ts";

const SIGNED_DATA = "1.2.840.113549.1.7.2";
const TST_INFO = "1.2.840.113549.1.9.16.1.4";
const SHA256 = "2.16.840.1.101.3.4.2.1";

/** What an authority says: that this digest was there at its time. */
export type Token = {
  /** The authority's policy, dotted. */
  readonly policy: string;
  /** Milliseconds since 1970, by its clock. */
  readonly at: number;
  /** The SHA-256 that it is about. */
  readonly digest: Bytes;
  readonly nonce: Bytes | undefined;
  /** TSTInfo, DER: what is signed, through the attributes. */
  readonly said: Bytes;
  readonly signed: Signed;
};

export type Signed = {
  /** By issuer and serial number, or by key identifier. */
  readonly by: { readonly issuer: Bytes; readonly serial: Bytes } | { readonly keyId: Bytes };
  /** The attributes, DER, as they are signed. */
  readonly attributes: Bytes;
  /** Their values, by object identifier. */
  readonly values: ReadonlyMap<string, Der>;
  readonly algorithm: Algorithm;
  readonly signature: Bytes;
  /** DER, as they came along; nothing vouches for them but who signed them. */
  readonly certificates: readonly Bytes[];
};

/** The token of an answer, or what is wrong with it. An answer that grants none is wrong. */
export function readToken(reply: Bytes): Token | string {
  try {
    return tokenOf(readDer(reply));
  } catch (error) {
    if (error instanceof Malformed) return error.message;
    throw error;
  }
}

/** What keeps a token from being one over these bytes. */
export const wrongDigest = ({ digest }: Token, bytes: Bytes): string | undefined =>
  equal(digest, sha256(bytes)) ? undefined : `it is over other bytes: SHA-256 ${toHex(digest)}`;

function tokenOf(reply: Der): Token {
  const [status, content, ...more] = partsOf(expectTag(reply, SEQUENCE, "TimeStampResp"));
  const [code, ...said] = partsOf(expectTag(status, SEQUENCE, "PKIStatusInfo"));
  // 1: granted, and something of the request was changed; what matters to us is looked at below.
  const granted = smallOf(code, "status");
  if (granted > 1) throw new Malformed(`refused with status ${granted}${wordsOf(said)}`);
  if (more.length > 0) throw new Malformed("not a TimeStampResp: something after the token");
  const [type, wrapped] = partsOf(expectTag(content, SEQUENCE, "token"));
  if (oidOf(type) !== SIGNED_DATA) throw new Malformed("not signed data");
  const data = readDer(expectTag(wrapped, context(0), "signed data").content);
  const [, , encapsulated, ...rest] = partsOf(expectTag(data, SEQUENCE, "signed data"));
  const [kind, octets] = partsOf(expectTag(encapsulated, SEQUENCE, "TSTInfo"));
  if (oidOf(kind) !== TST_INFO) throw new Malformed("not a TSTInfo");
  const { content: info } = expectTag(
    readDer(expectTag(octets, context(0), "TSTInfo").content),
    OCTETS,
    "TSTInfo",
  );
  const certificates = rest[0]?.tag === context(0) ? partsOf(rest[0]).map(({ whole }) => whole) : [];
  const [signer, second] = partsOf(expectTag(rest.at(-1), SET, "signer"));
  if (second) throw new Malformed("more than one signer");
  return { ...infoOf(info), said: info, signed: { ...signerOf(signer), certificates } };
}

function wordsOf(said: readonly Der[]): string {
  const text = said[0]?.tag === SEQUENCE ? partsOf(said[0])[0] : undefined;
  const words = text?.tag === UTF8 ? readUtf8(text.content.slice(0, 200)) : undefined;
  return words === undefined ? "" : `: ${JSON.stringify(words)}`;
}

function infoOf(info: Bytes): Pick<Token, "policy" | "at" | "digest" | "nonce"> {
  const [version, policy, imprint, serial, at, ...rest] = partsOf(
    expectTag(readDer(info), SEQUENCE, "TSTInfo"),
  );
  if (smallOf(version, "version") !== 1) throw new Malformed("not a TSTInfo of version 1");
  const [algorithm, digest] = partsOf(expectTag(imprint, SEQUENCE, "imprint"));
  const [hash] = partsOf(expectTag(algorithm, SEQUENCE, "hash algorithm"));
  if (oidOf(hash) !== SHA256) throw new Malformed("its digest is not a SHA-256");
  integerOf(serial, "serial number");
  const time = timeOf(expectTag(at, TIME, "time"), "time");
  const optional = [SEQUENCE, BOOLEAN, INTEGER, context(0), context(1)];
  let last = -1;
  for (const { tag } of rest) {
    const place = optional.indexOf(tag);
    if (place <= last) throw new Malformed("not a TSTInfo: what follows the time");
    last = place;
  }
  const nonce = rest.find(({ tag }) => tag === INTEGER);
  return {
    policy: oidOf(policy),
    at: time,
    digest: expectTag(digest, OCTETS, "digest").content,
    nonce: nonce && integerOf(nonce, "nonce"),
  };
}

function signerOf(signer: Der | undefined): Omit<Signed, "certificates"> {
  const [, by, hash, attributes, algorithm, signature] = partsOf(expectTag(signer, SEQUENCE, "signer"));
  const [digest] = partsOf(expectTag(hash, SEQUENCE, "digest algorithm"));
  const values = new Map<string, Der>();
  for (const attribute of partsOf(expectTag(attributes, context(0), "signed attributes"))) {
    const [type, set] = partsOf(attribute);
    const [value, more] = partsOf(expectTag(set, SET, "attribute"));
    const name = oidOf(type);
    if (!value || more || values.has(name)) throw new Malformed(`not one value of attribute ${name}`);
    values.set(name, value);
  }
  return {
    by: signerId(by),
    attributes: writeDer(SET, attributes?.content ?? new Uint8Array()),
    values,
    algorithm: readAlgorithm(algorithm, oidOf(digest)),
    signature: expectTag(signature, OCTETS, "signature").content,
  };
}

function signerId(by: Der | undefined): Signed["by"] {
  if (by?.tag === 0x80) return { keyId: by.content };
  const [issuer, serial] = partsOf(expectTag(by, SEQUENCE, "signer's name"));
  return {
    issuer: expectTag(issuer, SEQUENCE, "signer's issuer").whole,
    serial: integerOf(serial, "signer's serial number"),
  };
}
