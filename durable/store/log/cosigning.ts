/** All witnesses of the ledger at once: what they add to a checkpoint, and whether that is enough. */
import { linesOf, type NoteKey, readNote } from "#durable/proof/log/note.ts";
import type { Prove, Signed, Witness } from "./witness.ts";

export type Witnesses = {
  readonly all: readonly Witness[];
  /** How many of them a checkpoint needs; 0 when there are none. */
  readonly threshold: number;
};

/** Tells the operator. The names and codes of the recorder's alerts. */
export type Tell = (code: string, facts: Readonly<Record<string, string | number>>) => void;

/** A witness knows more of this log than the ledger, or another log under its name: nothing may be signed. */
export class LogContradicted extends Error {
  override readonly name = "LogContradicted";
}

/**
 * Signature lines to add to the note, in the order of the configuration; every one has been verified. Throws
 * `LogContradicted`. A witness that does not answer is told of, and is no reason to wait beyond its timeout.
 */
export async function cosign(
  { all }: Witnesses,
  signed: Signed,
  old: number,
  prove: Prove,
  tell: Tell,
): Promise<readonly string[]> {
  const said = await Promise.all(
    all.map(async (each) => ({ name: each.key.name, said: await each.cosign(signed, old, prove) })),
  );
  const lines: string[] = [];
  for (const { name, said: each } of said) {
    switch (each.kind) {
      case "cosigned":
        lines.push(each.line);
        break;
      case "absent":
        tell("witness_absent", { witness: name, size: signed.checkpoint.size, cause: each.why });
        break;
      case "resting":
        break;
      case "contradicts":
        throw new LogContradicted(`witness ${name}: ${each.why}`);
    }
  }
  return lines;
}

/** How many of the witnesses a note bears signature lines of. They were verified before they were added. */
export function countCosigned(note: string, keys: readonly NoteKey[]): number {
  const read = readNote(note);
  return typeof read === "string" ? 0 : keys.filter((key) => linesOf(read, key).length > 0).length;
}
