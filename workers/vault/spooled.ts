/** A spooled body on its way out: piece by piece as the recorder has it, and only as the clearance says it is. */
import { createHash } from "node:crypto";
import { Refusal } from "#durable/format/refusal.ts";
import type { Answer } from "#durable/format/tape.ts";

/**
 * Yields `length` bytes, read through `read` from an offset on. The last piece is held back until the digest of all of
 * them is the one that was cleared: what is not the same never looks whole to its receiver.
 */
export async function* spooledPieces(
  { length, sha256 }: { readonly length: number; readonly sha256: string },
  read: (off: number) => Promise<Answer<Uint8Array>>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  let ahead = length > 0 ? read(0) : undefined;
  for (let off = 0; ahead; ) {
    const answer = await ahead;
    if ("no" in answer) throw new Refusal(answer.no.code, answer.no.message);
    const piece = answer.ok;
    off += piece.byteLength;
    if (piece.byteLength === 0 || off > length)
      throw new Refusal("denied", "the spooled body has another length");
    hash.update(piece);
    // Read while this piece is sent: two are held at most.
    ahead = off < length ? read(off) : undefined;
    ahead?.catch(() => undefined);
    if (!ahead && hash.digest("hex") !== sha256)
      throw new Refusal("denied", "the spooled body is not the one that was cleared");
    yield piece;
  }
}
