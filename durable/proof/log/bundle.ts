/** What makes a signed head a Sigstore bundle v0.3: its place in the log, as Sigstore's clients read it. */
import * as v from "valibot";
import type { Envelope } from "#durable/format/head.ts";
import { type Bytes, equal, fromBase64, readUtf8, toBase64, toHex } from "../bytes.ts";
import { leafHash } from "../merkle.ts";
import { verifyInclusion } from "../proofs.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { ENTRY_KIND, entryBody } from "./entry.ts";
import { keyHash, type NoteKey, readNote } from "./note.ts";

const Index = v.pipe(v.string(), v.regex(/^(0|[1-9]\d{0,14})$/, "a decimal index"));

/** Protobuf JSON of `dev.sigstore.rekor.v1.TransparencyLogEntry`. */
export const TlogEntry = v.strictObject({
  logIndex: Index,
  logId: v.strictObject({ keyId: v.string() }),
  kindVersion: v.strictObject({ kind: v.literal(ENTRY_KIND.kind), version: v.literal(ENTRY_KIND.version) }),
  integratedTime: v.literal("0"),
  inclusionProof: v.strictObject({
    logIndex: Index,
    rootHash: v.string(),
    treeSize: Index,
    hashes: v.array(v.string()),
    checkpoint: v.strictObject({ envelope: v.string() }),
  }),
  canonicalizedBody: v.string(),
});
export type TlogEntry = v.InferOutput<typeof TlogEntry>;

/** The Sigstore id of a log: the whole hash of which a note's key id is the beginning. */
export const logId = ({ name, type, bytes }: NoteKey): string => toBase64(keyHash(name, type, bytes));

export type Inclusion = {
  readonly index: number;
  readonly body: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
  /** The checkpoint over `size`, signed. */
  readonly note: string;
  readonly logId: string;
};

export const makeTlogEntry = (inclusion: Inclusion): TlogEntry => ({
  logIndex: String(inclusion.index),
  logId: { keyId: inclusion.logId },
  kindVersion: ENTRY_KIND,
  integratedTime: "0",
  inclusionProof: {
    logIndex: String(inclusion.index),
    rootHash: toBase64(inclusion.root),
    treeSize: String(inclusion.size),
    hashes: inclusion.proof.map(toBase64),
    checkpoint: { envelope: inclusion.note },
  },
  canonicalizedBody: toBase64(inclusion.body),
});

export type OpenedEntry = {
  readonly index: number;
  readonly leaf: Bytes;
  readonly wrong?: { readonly code: "entry_body" | "entry_proof"; readonly message: string };
};

/**
 * Whether an entry is that of its envelope, and in the tree of the checkpoint it brings; whoever signed that. Without
 * the key that signed the envelope, only the second.
 */
export function openEntry(entry: TlogEntry, envelope: Envelope, spki: Uint8Array | undefined): OpenedEntry {
  const index = Number(entry.logIndex);
  const { inclusionProof, canonicalizedBody } = entry;
  const body = fromBase64(canonicalizedBody);
  const leaf = leafHash(body ?? new Uint8Array());
  const opened = { index, leaf };
  if (!body || (spki && !equal(body, entryBody(envelope, spki))))
    return { ...opened, wrong: { code: "entry_body", message: "its log entry is not that of its head" } };
  const proof = (message: string) => ({ ...opened, wrong: { code: "entry_proof", message } as const });
  const note = readNote(inclusionProof.checkpoint.envelope);
  const checkpoint = typeof note === "string" ? undefined : readCheckpoint(note.text);
  if (typeof note === "string" || !checkpoint) return proof("the checkpoint it brings cannot be read");
  if (inclusionProof.logIndex !== entry.logIndex) return proof("names two indexes");
  if (Number(inclusionProof.treeSize) !== checkpoint.size)
    return proof(`a proof for a tree of ${inclusionProof.treeSize}, with a checkpoint of ${checkpoint.size}`);
  if (inclusionProof.rootHash !== toBase64(checkpoint.root)) return proof("its root is not the checkpoint's");
  const hashes = inclusionProof.hashes.map((hash) => fromBase64(hash));
  const path = hashes.filter((hash) => hash?.byteLength === 32).map((hash) => hash as Bytes);
  const holds =
    path.length === hashes.length && verifyInclusion(leaf, index, checkpoint.size, checkpoint.root, path);
  return holds ? opened : proof(`entry ${index} is not in the tree of ${checkpoint.size}: ${toHex(leaf)}`);
}

/** The text of bytes that hold exactly one line, without its LF. */
export function readLine(bytes: Uint8Array): string | undefined {
  const text = readUtf8(bytes);
  return text !== undefined && text.indexOf("\n") === text.length - 1 ? text.slice(0, -1) : undefined;
}
