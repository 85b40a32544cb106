/** The statement a head signs (EVIDENCE §3): in clear, so without a name, a prompt or a path in it. */
import * as v from "valibot";
import { SessionId } from "./ids.ts";
import { Completeness } from "./join/completeness.ts";
import { SEGMENT_NAME } from "./layout.ts";

export const PREDICATE_TYPE = "urn:steno:attestation:session-head:v1";
export const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
export const PAYLOAD_TYPE = "application/vnd.in-toto+json";

export const Hash = v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{43}=$/, "a base64 SHA-256"));
export const Hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "a hex SHA-256"));
const Count = v.pipe(v.number(), v.integer(), v.minValue(0));

export const SegmentEntry = v.object({
  /** Object name beside the seal: `frames-000000.ndjson.zst` or `bytes-000000.bin`, with `.age` where encrypted. */
  name: v.pipe(v.string(), v.regex(SEGMENT_NAME)),
  /** Of the stored object. */
  sha256: Hex,
  /** Length of the stored object. */
  bytes: Count,
  /** Frames segments only: the leaves they hold, and the canonical compact range over them, left to right. */
  firstFrame: v.optional(Count),
  frames: v.optional(Count),
  range: v.optional(v.array(Hash)),
});
export type SegmentEntry = v.InferOutput<typeof SegmentEntry>;

/** A checkpoint that was there before the session: it was opened not before it. */
export const NotBefore = v.object({
  origin: v.string(),
  size: Count,
  rootHash: Hash,
  /** Of the signed note. */
  noteSha256: Hex,
});
export type NotBefore = v.InferOutput<typeof NotBefore>;

/** How segments are stored. `recipient` is the session's own, in age's words; who can open its key is not said here. */
export const Encryption = v.union([
  v.literal("none"),
  v.object({ scheme: v.literal("age"), recipient: v.pipe(v.string(), v.regex(/^age1[a-z0-9]+$/)) }),
]);
export type Encryption = v.InferOutput<typeof Encryption>;

export const HeadStatus = v.picklist(["open", "progress", "closed", "truncated"]);
export type HeadStatus = v.InferOutput<typeof HeadStatus>;

export const Head = v.object({
  session: SessionId,
  status: HeadStatus,
  /** 0 for the open head, then counting. */
  n: Count,
  head: v.object({ origin: v.string(), size: Count, rootHash: Hash }),
  previous: v.optional(v.object({ size: Count, rootHash: Hash, consistency: v.array(Hash) })),
  /** Absent while the log has no checkpoint. */
  notBefore: v.optional(NotBefore),
  startedAt: v.string(),
  madeAt: v.string(),
  endedAt: v.optional(v.string()),
  reason: v.optional(v.string()),
  /** `hmac:<hex>`: the same principal has the same pseudonym on one node. */
  principal: v.string(),
  gateway: v.object({
    build: v.object({ sha256: Hex }),
    config: v.object({ sha256: Hex }),
    policy: v.optional(v.object({ sha256: Hex })),
  }),
  counts: v.object({ frames: Count, exchanges: Count, c2s: Count, s2c: Count, denied: Count, gaps: Count }),
  segments: v.array(SegmentEntry),
  encryption: Encryption,
  /** In the last head only; absent when the session began before there was one. */
  completeness: v.optional(Completeness),
  retention: v.object({ mode: v.picklist(["COMPLIANCE", "none"]), days: Count }),
});
export type Head = v.InferOutput<typeof Head>;

export const Subject = v.object({ name: v.string(), digest: v.record(v.string(), v.string()) });
export type Subject = v.InferOutput<typeof Subject>;

export const Statement = v.object({
  _type: v.literal(STATEMENT_TYPE),
  subject: v.array(Subject),
  predicateType: v.literal(PREDICATE_TYPE),
  predicate: Head,
});
export type Statement = v.InferOutput<typeof Statement>;

export const Envelope = v.object({
  payload: v.string(),
  payloadType: v.literal(PAYLOAD_TYPE),
  signatures: v.tuple([v.object({ sig: v.string(), keyid: v.optional(v.string()) })]),
});
/** DSSE v1, exactly one signature (DER ECDSA P-256 over SHA-256 of the PAE), all base64. */
export type Envelope = v.InferOutput<typeof Envelope>;
