/** C2SP tlog-proof: that a record is in a tree, as text, with the checkpoint of that tree. */
import { type Bytes, fromBase64, toBase64 } from "../bytes.ts";

export type TlogProof = {
  readonly index: number;
  readonly path: readonly Uint8Array[];
  /** The checkpoint as it stands, its signatures with it where it has any. */
  readonly note: string;
};

const FIRST = "c2sp.org/tlog-proof@v1";

export const writeTlogProof = ({ index, path, note }: TlogProof): string =>
  `${FIRST}\nindex ${index}\n${path.map((hash) => `${toBase64(hash)}\n`).join("")}\n${note}`;

/** The proof of a text, or what is wrong with it. Extra lines are not ours, so one text is one proof. */
export function readTlogProof(text: string): TlogProof | string {
  const cut = text.indexOf("\n\n");
  const [first, second = "", ...hashes] = text.slice(0, Math.max(cut, 0)).split("\n");
  if (first !== FIRST) return `it does not begin with ${FIRST}`;
  const [, index] = /^index (0|[1-9]\d{0,14})$/.exec(second) ?? [];
  if (index === undefined) return "it names no index";
  const path: Bytes[] = [];
  for (const hash of hashes) {
    const bytes = fromBase64(hash);
    if (bytes?.byteLength !== 32) return "a line of it is no SHA-256 in base64";
    path.push(bytes);
  }
  return { index: Number(index), path, note: text.slice(cut + 2) };
}
