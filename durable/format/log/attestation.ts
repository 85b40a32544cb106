/**
 * What the log says beside heads (EVIDENCE §4): in-toto statements of these kinds, each an entry of its own. In clear and
 * kept for as long as the log, so without a name, a path or anybody's words: people are pseudonyms, things are digests.
 */
import * as v from "valibot";
import { Hash, Hex, STATEMENT_TYPE } from "../head.ts";
import { ApprovalId, SessionId, StandingId } from "../ids.ts";

const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Text = v.pipe(v.string(), v.minLength(1), v.maxLength(400));
/** The log's name. */
const Origin = v.pipe(v.string(), v.regex(/^[^\s/+]{1,253}$/u, "a bare hostname"));
/** RFC 3339, UTC, milliseconds. */
const Time = v.pipe(v.string(), v.isoTimestamp());
const Day = v.pipe(v.string(), v.isoDate());
/** `hmac:<hex>`, as in heads. */
const Pseudonym = v.pipe(v.string(), v.regex(/^hmac:[0-9a-f]{64}$/, "a pseudonym"));

/** Names a case that is kept elsewhere. Not prose: it stays in clear for as long as the log. */
export const Reference = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}$/, "must be a reference, such as DSR-2026-017: no spaces"),
);

/** `origin` is the log's own name, `madeAt` when the log was told: the log adds both. */
const predicate = <const E extends v.ObjectEntries>(entries: E) =>
  v.strictObject({ origin: Origin, madeAt: Time, ...entries });

const Vkey = v.pipe(v.string(), v.regex(/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/, "a vkey"));

/** The log that goes on where this one ends: its name, and both of its keys as vkeys. */
export const Successor = v.strictObject({ origin: Origin, log: Vkey, logPq: Vkey });
export type Successor = v.InferOutput<typeof Successor>;

/** The last checkpoint of the log before. */
export const Ended = v.strictObject({ origin: Origin, size: Count, rootHash: Hash });
export type Ended = v.InferOutput<typeof Ended>;

/** What a probe of the store tried, and what came of it. */
export const ProbeResult = v.strictObject({
  name: v.picklist(["create", "second-put", "race", "delete-version", "shorten", "retention"]),
  outcome: v.picklist(["held", "failed", "untried"]),
  said: Text,
});
export type ProbeResult = v.InferOutput<typeof ProbeResult>;

export const PREDICATES = {
  /** A log ends, this being its last entry, and names the one that goes on; or one goes on, this being its first. */
  "key-event": v.variant("event", [
    predicate({ event: v.literal("end"), successor: Successor }),
    predicate({ event: v.literal("begin"), predecessor: Ended }),
  ]),
  /** Somebody let through alone what policy held for others, because it could not wait. */
  "break-glass": predicate({ session: SessionId, approval: ApprovalId, by: Pseudonym }),
  /** Somebody approved in advance what the Cedar text with this digest describes, until then; or joined in, or revoked it. */
  "standing-approval": predicate({
    standing: StandingId,
    event: v.picklist(["grant", "join", "revoke"]),
    by: Pseudonym,
    scopeSha256: Hex,
    until: Time,
  }),
  /** The policy set with this digest was first shown in a decision of `session`; absent `before`: the log knew none. */
  "policy-change": predicate({ set: Hex, before: v.optional(Hex), session: SessionId }),
  /** Whether the store keeps what Object Lock promises. `reasons` are why the grade is not `evidence`. */
  "storage-probe": predicate({
    archive: v.picklist(["s3", "directory"]),
    grade: v.picklist(["evidence", "limited"]),
    reasons: v.array(Text),
    results: v.array(ProbeResult),
  }),
  /**
   * A session's frames can no longer be read. Said twice: before its key, whose file had this digest, is destroyed, and
   * after it was looked for and was not there. The digest of nothing: there was no key to destroy.
   */
  erasure: predicate({
    session: SessionId,
    by: Pseudonym,
    keySha256: Hex,
    reason: Reference,
    state: v.picklist(["begun", "done"]),
  }),
  /** While it is set the session cannot be erased. */
  "legal-hold": predicate({
    session: SessionId,
    by: Pseudonym,
    reason: Reference,
    state: v.picklist(["set", "lifted"]),
  }),
  /** Somebody looked at a recording, or took it away. */
  read: predicate({ session: SessionId, by: Pseudonym, what: v.picklist(["view", "export"]) }),
  /** The Parquet files that list the sessions sealed on `date`, as they were then. */
  index: predicate({
    date: Day,
    objects: v.array(v.strictObject({ name: Text, sha256: Hex, bytes: Count, rows: Count })),
  }),
} as const;

export type AttestationKind = keyof typeof PREDICATES;
export const KINDS = Object.keys(PREDICATES) as AttestationKind[];

export type PredicateOf<K extends AttestationKind> = v.InferOutput<(typeof PREDICATES)[K]>;
type Untold<P> = P extends unknown ? Omit<P, "origin" | "madeAt"> : never;
type Facts<K extends AttestationKind> = K extends unknown
  ? { readonly kind: K } & Untold<PredicateOf<K>>
  : never;
/** What a log is asked to say. */
export type Attestation = Facts<AttestationKind>;
/** What is asked of it from outside: of its own beginning and end it speaks by itself. */
export type Attestable = Facts<Exclude<AttestationKind, "key-event">>;

const PREFIX = "urn:steno:attestation:";
export const attestationType = (kind: AttestationKind): string => `${PREFIX}${kind}:v1`;

/** The kind of a predicate type, when it is one of these. */
export const kindOf = (predicateType: string): AttestationKind | undefined =>
  KINDS.find((kind) => attestationType(kind) === predicateType);

/** The statement, but for its predicate, which is parsed by kind. */
export const AttestationFrame = v.strictObject({
  _type: v.literal(STATEMENT_TYPE),
  subject: v.array(v.strictObject({ name: v.string(), digest: v.strictObject({ sha256: Hex }) })),
  predicateType: v.string(),
  predicate: v.record(v.string(), v.unknown()),
});

/** A thing the statement is about. */
export type AttestationSubject = { readonly name: string; readonly digest: { readonly sha256: string } };

/** A statement that was read, by its kind. */
export type Attested = {
  [K in AttestationKind]: { readonly kind: K; readonly predicate: PredicateOf<K> };
}[AttestationKind];
