/** Reads a tree object (gitformat: `<mode> <name>\0<id>` …) as git orders it. */
import { Buffer } from "node:buffer";
import { type Bytes, broken } from "../pack/bytes.ts";
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

/** Names of printable ASCII that no file system takes for another need no second look: nearly all. */
const PLAIN = /^[\x20-\x7e]+$/;
const SUSPECT = /^\.|git~1|\//i;
const NOT_ODD: readonly Oddity[] = [];

/** By `key`. Refuses what is no tree: cut off, out of order, a name twice, a name no repository may have. */
export function readTree(content: Bytes, idLength: number): ReadonlyMap<string, TreeEntry> {
  const buffer = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const entries = new Map<string, TreeEntry>();
  let before = "";
  for (let at = 0; at < buffer.byteLength; ) {
    const space = buffer.indexOf(0x20, at);
    const nul = space < 0 ? -1 : buffer.indexOf(0, space);
    const end = nul + 1 + idLength;
    if (nul < 0 || end > buffer.byteLength || space - at > 6 || space === at)
      throw broken("a tree is cut off");
    const mode = buffer.toString("latin1", at, space);
    if (!/^[0-7]+$/.test(mode)) throw broken("a tree has an entry without a mode");
    const key = buffer.toString("latin1", space + 1, nul);
    const plain = PLAIN.test(key);
    const { name, odd } = plain ? { name: key, odd: NOT_ODD } : textOfName(content.subarray(space + 1, nul));
    const why = plain && !SUSPECT.test(key) ? undefined : forbidden(name);
    if (why !== undefined) throw broken(`a path ${why}`);
    const id = buffer.toString("hex", nul + 1, end);
    const entry = { name, odd, mode: mode.padStart(6, "0"), id, key };
    const place = isTree(entry) ? `${key}/` : key;
    if (entries.has(key)) throw broken(`a tree has ${JSON.stringify(name)} twice`);
    if (before !== "" && place <= before) throw broken("a tree is not in order");
    before = place;
    entries.set(key, entry);
    at = end;
  }
  return entries;
}
