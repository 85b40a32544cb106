/** What a witness is asked and answers (C2SP tlog-witness, `add-checkpoint`). Nothing is sent here. */
import { type Bytes, fromBase64, toBase64 } from "../bytes.ts";
import { type Checkpoint, verifyLine } from "./checkpoint.ts";
import { linesOf, type NoteKey, noteLine, readNote } from "./note.ts";

/** A checkpoint, signed, and the proof that it extends the tree of `old` entries, which the witness saw last. */
export type Submission = {
  readonly old: number;
  readonly proof: readonly Uint8Array[];
  readonly note: string;
};

export const PROOF_MAX = 63;
/** The media type of a 409, whose body is the size that the witness saw last. */
export const SIZE_TYPE = "text/x.tlog.size";

export const writeSubmission = ({ old, proof, note }: Submission): string =>
  `old ${old}\n${proof.map((hash) => `${toBase64(hash)}\n`).join("")}\n${note}`;

/** The submission of a body, or what is wrong with it. Its note is not looked into. */
export function readSubmission(body: string): Submission | string {
  const cut = body.indexOf("\n\n");
  if (cut < 0) return "no empty line before the checkpoint";
  const [first = "", ...lines] = body.slice(0, cut).split("\n");
  const [, old] = /^old (0|[1-9]\d{0,14})$/.exec(first) ?? [];
  if (old === undefined) return "the first line is not: old SIZE";
  if (lines.length > PROOF_MAX) return `more than ${PROOF_MAX} hashes in a proof`;
  const proof = lines.map((line) => fromBase64(line)).filter((hash) => hash?.byteLength === 32) as Bytes[];
  if (proof.length !== lines.length) return "a line of the proof is not a base64 SHA-256";
  return { old: Number(old), proof, note: body.slice(cut + 2) };
}

/** The size in the body of a 409. */
export function readSize(body: string): number | undefined {
  const [, size] = /^(0|[1-9]\d{0,14})\n$/.exec(body) ?? [];
  return size === undefined ? undefined : Number(size);
}

/**
 * The signature lines of an answer that are the key's and hold for the checkpoint, at most one: what other keys signed
 * is left out. Or what is wrong with the answer.
 */
export async function readCosignature(
  answer: string,
  signed: { readonly text: string; readonly checkpoint: Checkpoint },
  key: NoteKey,
): Promise<string | { readonly line: string }> {
  const note = readNote(`${signed.text}\n${answer}`);
  if (typeof note === "string" || note.text !== signed.text) return "its answer is not of signature lines";
  const [line, more] = linesOf(note, key);
  if (!line) return "its answer has no signature of its key";
  if (more) return "its answer has two signatures of its key";
  const holds = await verifyLine(
    { note: { text: note.text, lines: [line] }, checkpoint: signed.checkpoint },
    key,
  );
  return holds ? { line: noteLine(key, line.signature) } : "its signature does not hold";
}
