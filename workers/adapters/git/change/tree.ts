/** Reads a tree object (gitformat: `<mode> <name>\0<id>` …) as git orders it. */
import { type Bytes, broken, hex } from "../pack/bytes.ts";
import { forbidden, type Oddity, textOfName } from "./path-name.ts";

export type TreeEntry = {
  readonly name: string;
  readonly odd: readonly Oddity[];
  /** Six octal digits: `040000` is a tree, `160000` a submodule's commit, `120000` a symbolic link. */
  readonly mode: string;
  readonly id: string;
  /** The name's own bytes, one a letter: what is compared and ordered. */
  readonly key: string;
};

export const TREE_MODE = "040000";
export const isTree = ({ mode }: TreeEntry): boolean => mode === TREE_MODE;

/** By `key`. Refuses what is no tree: cut off, out of order, a name twice, a name no repository may have. */
export function readTree(content: Bytes, idLength: number): ReadonlyMap<string, TreeEntry> {
  const entries = new Map<string, TreeEntry>();
  let before = "";
  for (let at = 0; at < content.byteLength; ) {
    const space = content.indexOf(0x20, at);
    const nul = space < 0 ? -1 : content.indexOf(0, space);
    const end = nul + 1 + idLength;
    if (nul < 0 || end > content.byteLength || space - at > 6 || space === at)
      throw broken("a tree is cut off");
    const mode = latin(content.subarray(at, space));
    if (!/^[0-7]+$/.test(mode)) throw broken("a tree has an entry without a mode");
    const bytes = content.subarray(space + 1, nul);
    const { name, odd } = textOfName(bytes);
    const why = forbidden(name);
    if (why !== undefined) throw broken(`a path ${why}`);
    const entry = {
      name,
      odd,
      mode: mode.padStart(6, "0"),
      id: hex(content.subarray(nul + 1, end)),
      key: latin(bytes),
    };
    const place = isTree(entry) ? `${entry.key}/` : entry.key;
    if (entries.has(entry.key)) throw broken(`a tree has ${JSON.stringify(name)} twice`);
    if (before !== "" && place <= before) throw broken("a tree is not in order");
    before = place;
    entries.set(entry.key, entry);
    at = end;
  }
  return entries;
}

function latin(bytes: Bytes): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
