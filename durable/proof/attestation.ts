/** Statements of the log that are no heads: what is signed, and what is read of it. */
import * as v from "valibot";
import { STATEMENT_TYPE } from "#durable/format/head.ts";
import {
  type Attestation,
  AttestationFrame,
  type AttestationSubject,
  type Attested,
  attestationType,
  kindOf,
  PREDICATES,
} from "#durable/format/log/attestation.ts";
import { type Bytes, equal, readUtf8, sha256, utf8 } from "./bytes.ts";

/** What is added to the facts: the log's name, and when it was told them, in milliseconds since 1970. */
export type Told = { readonly origin: string; readonly at: number };

/** The bytes that are signed. Throws a valibot error when the facts are not of their kind. */
export function encodeAttestation(attestation: Attestation, { origin, at }: Told): Bytes {
  const { kind, ...facts } = attestation;
  const madeAt = new Date(at).toISOString();
  return encode({
    kind,
    predicate: v.parse(PREDICATES[kind], { origin, madeAt, ...facts }),
  } as Attested);
}

function encode(attested: Attested): Bytes {
  const { kind, predicate } = attested;
  return utf8(
    JSON.stringify({
      _type: STATEMENT_TYPE,
      subject: subjectsOf(attested),
      predicateType: attestationType(kind),
      predicate,
    }),
  );
}

/** What tells the same facts, told at another time, from others. */
export const factsDigest = (attestation: Attestation): Bytes =>
  sha256(encodeAttestation(attestation, { origin: "-", at: 0 }));

/**
 * The statement in payload bytes; undefined when its type is none of the kinds, whatever else it is; or what is wrong
 * with it. Other members, another order, or subjects that do not follow from the predicate are wrong.
 */
export function readAttestation(payload: Uint8Array): Attested | undefined | string {
  const kind = kindOf(readType(payload) ?? "");
  if (kind === undefined) return undefined;
  const frame = v.safeParse(AttestationFrame, parseJson(payload));
  if (!frame.success) return v.summarize(frame.issues);
  const predicate = v.safeParse(PREDICATES[kind], frame.output.predicate);
  if (!predicate.success) return v.summarize(predicate.issues);
  const attested = { kind, predicate: predicate.output } as Attested;
  return equal(encode(attested), payload) ? attested : "not written as its writer writes it";
}

/** The predicate type of payload bytes, when they have one. */
export function readType(payload: Uint8Array): string | undefined {
  const typed = v.safeParse(v.object({ predicateType: v.string() }), parseJson(payload));
  return typed.success ? typed.output.predicateType : undefined;
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(readUtf8(payload) ?? "");
  } catch {
    // Not JSON is not of any kind: what reads heads says what is wrong with it.
    return undefined;
  }
}

function subjectsOf(attested: Attested): AttestationSubject[] {
  switch (attested.kind) {
    case "policy-change":
      return [{ name: "policy-set", digest: { sha256: attested.predicate.set } }];
    case "standing-approval":
      return [{ name: attested.predicate.standing, digest: { sha256: attested.predicate.scopeSha256 } }];
    case "erasure":
      return [{ name: attested.predicate.session, digest: { sha256: attested.predicate.keySha256 } }];
    case "index":
      return attested.predicate.objects.map(({ name, sha256 }) => ({ name, digest: { sha256 } }));
    case "break-glass":
    case "key-event":
    case "storage-probe":
    case "legal-hold":
    case "read":
      return [];
  }
}
