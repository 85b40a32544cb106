/** The head of an object in a pack (gitformat-pack(5)): its type, its size, and for a delta what it is a delta of. */
import { type Bytes, broken, hex, type Kind } from "./bytes.ts";

export type Entry = {
  /** Of the inflated object, or of the inflated delta. */
  readonly size: number;
  /** Where its zlib stream begins, in the bytes given. */
  readonly data: number;
  /** The kind it says, or for a delta how far before it its base begins, or its base's id in hex. */
  readonly is: Kind | { readonly distance: number } | { readonly id: string };
};

const KINDS: readonly (Kind | undefined)[] = [undefined, "commit", "tree", "blob", "tag"];
const OFS_DELTA = 6;
const REF_DELTA = 7;

/** The entry at `at`, or undefined when the bytes stop within it. Refuses unknown types and absurd numbers. */
export function readEntry(bytes: Bytes, at: number, idLength: number): Entry | undefined {
  let data = at;
  const next = (): number => bytes[data++] ?? Number.NaN;
  let byte = next();
  const type = (byte >> 4) & 7;
  let size = byte & 15;
  for (let unit = 16; byte >= 0x80; unit *= 128) {
    byte = next();
    size += (byte & 0x7f) * unit;
    if (size > Number.MAX_SAFE_INTEGER) throw broken("an object's size is absurd");
  }
  let is: Entry["is"] | undefined = KINDS[type];
  if (type === OFS_DELTA) {
    byte = next();
    let distance = byte & 0x7f;
    while (byte >= 0x80) {
      byte = next();
      distance = (distance + 1) * 128 + (byte & 0x7f);
      if (distance > Number.MAX_SAFE_INTEGER) throw broken("a delta's base is absurd");
    }
    is = { distance };
  }
  if (type === REF_DELTA) {
    is = { id: hex(bytes.subarray(data, data + idLength)) };
    data += idLength;
  }
  if (data > bytes.byteLength) return undefined;
  if (is === undefined) throw broken("an object's type is unknown");
  return { size, data, is };
}
