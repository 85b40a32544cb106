/** A head as stored: a Sigstore bundle v0.3 (DSSE, public-key hint, place in the log), read so that no byte of it is free. */
import * as v from "valibot";
import {
  type Envelope,
  type Head,
  PAYLOAD_TYPE,
  PREDICATE_TYPE,
  type Statement,
} from "#durable/format/head.ts";
import type { Attested } from "#durable/format/log/attestation.ts";
import { readAttestation, readType } from "./attestation.ts";
import { type Bytes, fromBase64, readUtf8, toBase64, utf8 } from "./bytes.ts";
import { openEnvelope, type Signer, signEnvelope } from "./dsse.ts";
import { keyHint, type SealKey } from "./key.ts";
import { TlogEntry } from "./log/bundle.ts";
import { encodeStatement, makeStatement, type PushedCommit, readStatement } from "./statement.ts";

export const BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json";

const Hint = v.strictObject({ hint: v.string() });
const Dsse = v.strictObject({
  payload: v.string(),
  payloadType: v.literal(PAYLOAD_TYPE),
  signatures: v.strictTuple([v.strictObject({ sig: v.string() })]),
});

/** A head that is signed and not yet in a published tree: what a session gives the ledger. Never stored in an archive. */
export const SignedHead = v.strictObject({
  mediaType: v.literal(BUNDLE_TYPE),
  verificationMaterial: v.strictObject({ publicKey: Hint }),
  dsseEnvelope: Dsse,
});
export type SignedHead = v.InferOutput<typeof SignedHead>;

/** RFC 3161 over the bytes of the DSSE signature: a TimeStampResp, DER, in base64. */
const Timestamps = v.strictObject({
  rfc3161Timestamps: v.strictTuple([
    v.strictObject({
      signedTimestamp: v.pipe(
        v.string(),
        v.check((text) => fromBase64(text) !== undefined, "a timestamp in base64"),
      ),
    }),
  ]),
});

export const Bundle = v.strictObject({
  mediaType: v.literal(BUNDLE_TYPE),
  verificationMaterial: v.strictObject({
    publicKey: Hint,
    tlogEntries: v.strictTuple([TlogEntry]),
    timestampVerificationData: v.exactOptional(Timestamps),
  }),
  dsseEnvelope: Dsse,
});
export type Bundle = v.InferOutput<typeof Bundle>;

export const makeSignedHead = (envelope: Envelope, spki: Uint8Array): SignedHead => ({
  mediaType: BUNDLE_TYPE,
  verificationMaterial: { publicKey: { hint: keyHint(spki) } },
  dsseEnvelope: {
    payload: envelope.payload,
    payloadType: envelope.payloadType,
    signatures: [{ sig: envelope.signatures[0].sig }],
  },
});

/** `token`: what a timestamp authority answered to the head's signature. */
export const makeBundle = (
  head: Pick<SignedHead, "dsseEnvelope"> & {
    readonly verificationMaterial: Pick<Bundle["verificationMaterial"], "publicKey">;
  },
  entry: TlogEntry,
  token?: Uint8Array,
): Bundle => ({
  mediaType: BUNDLE_TYPE,
  verificationMaterial: {
    publicKey: head.verificationMaterial.publicKey,
    tlogEntries: [entry],
    ...(token && {
      timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: toBase64(token) }] },
    }),
  },
  dsseEnvelope: head.dsseEnvelope,
});

/** The bytes that a head's timestamp is over: its signature. */
export const stampedBytes = ({ dsseEnvelope }: Pick<SignedHead, "dsseEnvelope">): Bytes =>
  fromBase64(dsseEnvelope.signatures[0].sig) ?? new Uint8Array();

/** The timestamp that a bundle bears, as it came from its authority. */
export function stampOf({ verificationMaterial }: Bundle): Bytes | undefined {
  const [stamp] = verificationMaterial.timestampVerificationData?.rfc3161Timestamps ?? [];
  return stamp && fromBase64(stamp.signedTimestamp);
}

export const encodeBundle = (bundle: Bundle | SignedHead): Bytes => utf8(JSON.stringify(bundle));

/** A head, signed: what the ledger is given. */
export async function sealHead(
  head: Head,
  commits: readonly PushedCommit[],
  spki: Uint8Array,
  sign: Signer,
): Promise<SignedHead> {
  const payload = encodeStatement(makeStatement(head, commits));
  return makeSignedHead(await signEnvelope(payload, sign), spki);
}

/** The bundle in stored bytes, or what is wrong with them. Spare white space and unknown members are wrong. */
export function openBundle(bytes: Uint8Array): Bundle | string {
  const text = readUtf8(bytes);
  if (text === undefined) return "the bundle is not UTF-8";
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return `the bundle is not JSON: ${cause instanceof Error ? cause.message : "unreadable"}`;
  }
  const parsed = v.safeParse(Bundle, json);
  if (!parsed.success) return v.summarize(parsed.issues);
  // Written again by its writer: members in another order are another text.
  const [entry] = parsed.output.verificationMaterial.tlogEntries;
  return JSON.stringify(makeBundle(parsed.output, ordered(entry), stampOf(parsed.output))) === text
    ? parsed.output
    : "the bundle's JSON is not written as its writer writes it";
}

const ordered = (entry: TlogEntry): TlogEntry => {
  const { inclusionProof: proof } = entry;
  return {
    logIndex: entry.logIndex,
    logId: entry.logId,
    kindVersion: { kind: entry.kindVersion.kind, version: entry.kindVersion.version },
    integratedTime: entry.integratedTime,
    inclusionProof: {
      logIndex: proof.logIndex,
      rootHash: proof.rootHash,
      treeSize: proof.treeSize,
      hashes: proof.hashes,
      checkpoint: proof.checkpoint,
    },
    canonicalizedBody: entry.canonicalizedBody,
  };
};

/** What became of opening a stored head: `statement` is present when it could be read, whoever signed it. */
export type OpenedHead = {
  /** Present when the bytes are a bundle, whatever is in it. */
  readonly bundle?: Bundle;
  readonly statement?: Statement;
  readonly wrong?: {
    readonly code: "head_malformed" | "head_key" | "head_signature";
    readonly message: string;
  };
};

/** Opens a stored head. Without a key nothing is said of the signature. */
export async function openHead(bytes: Uint8Array, key: SealKey | undefined): Promise<OpenedHead> {
  const bundle = openBundle(bytes);
  if (typeof bundle === "string") return { wrong: { code: "head_malformed", message: bundle } };
  const statement = readStatement(payloadOf(bundle));
  const read = typeof statement === "string" ? { bundle } : { bundle, statement };
  const wrong = await checkSignature(bundle, key);
  if (wrong) return { ...read, wrong: { code: `head_${wrong.what}`, message: wrong.message } };
  return typeof statement === "string"
    ? { bundle, wrong: { code: "head_malformed", message: statement } }
    : read;
}

/** What became of opening an entry of the log: a head, or an attestation of a kind that is known. */
export type OpenedSaid = Omit<OpenedHead, "wrong"> & {
  readonly attested?: Attested;
  readonly wrong?: {
    readonly code:
      | NonNullable<OpenedHead["wrong"]>["code"]
      | `attestation_${"malformed" | "unknown" | "key" | "signature"}`;
    readonly message: string;
  };
};

/** Opens a stored entry, whatever it says. Without a key nothing is said of the signature. */
export async function openSaid(bytes: Uint8Array, key: SealKey | undefined): Promise<OpenedSaid> {
  const bundle = openBundle(bytes);
  const type = typeof bundle === "string" ? undefined : readType(payloadOf(bundle));
  // What has no type to read is told as a head that cannot be: most entries are heads.
  if (typeof bundle === "string" || type === undefined || type === PREDICATE_TYPE)
    return openHead(bytes, key);
  const attested = readAttestation(payloadOf(bundle));
  const read = attested && typeof attested !== "string" ? { bundle, attested } : { bundle };
  const wrong = await checkSignature(bundle, key);
  if (wrong) return { ...read, wrong: { code: `attestation_${wrong.what}`, message: wrong.message } };
  if (attested === undefined)
    return { bundle, wrong: { code: "attestation_unknown", message: `says ${JSON.stringify(type)}` } };
  return typeof attested === "string"
    ? { bundle, wrong: { code: "attestation_malformed", message: attested } }
    : read;
}

const payloadOf = ({ dsseEnvelope }: Bundle): Bytes => fromBase64(dsseEnvelope.payload) ?? new Uint8Array();

async function checkSignature(
  bundle: Bundle,
  key: SealKey | undefined,
): Promise<{ readonly what: "key" | "signature"; readonly message: string } | undefined> {
  const { hint } = bundle.verificationMaterial.publicKey;
  if (key && hint !== key.hint) return { what: "key", message: `signed by key ${hint}, not by ${key.hint}` };
  if (key && !(await openEnvelope(bundle.dsseEnvelope, key.key)))
    return { what: "signature", message: "the signature does not hold" };
  return undefined;
}
