/** C2SP tlog-tiles: where tiles are, and what an entry bundle holds. */
import { type Bytes, concat } from "../bytes.ts";
import { ENTRY_MAX } from "./entry.ts";

/** Hashes, or entries, of a full tile. */
export const TILE = 256;

/** `entries` for entry bundles, else the height of the tile's lowest hashes in tiles: 0 for leaves. */
export type TileLevel = number | "entries";

/** `tile/0/x001/234`, `tile/entries/000.p/17`: below the log's folder. */
export function tilePath(level: TileLevel, n: number, width = TILE): string {
  const groups: string[] = [];
  for (let rest = n; groups.length === 0 || rest > 0; rest = Math.floor(rest / 1000)) {
    const group = String(rest % 1000).padStart(3, "0");
    groups.unshift(groups.length === 0 ? group : `x${group}`);
  }
  return `tile/${level}/${groups.join("/")}${width < TILE ? `.p/${width}` : ""}`;
}

export type TilePlace = { readonly level: TileLevel; readonly n: number; readonly width: number };

const PATH = /^tile\/(entries|[1-5]?\d|6[0-3])\/((?:x\d{3}\/)*\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** The tile of a path, when it is the one way to write it. */
export function readTilePath(path: string): TilePlace | undefined {
  const [, level = "", groups = "", part] = PATH.exec(path) ?? [];
  if (groups === "") return undefined;
  const n = Number(groups.replaceAll(/[x/]/g, ""));
  const place = {
    level: level === "entries" ? ("entries" as const) : Number(level),
    n,
    width: part === undefined ? TILE : Number(part),
  };
  return Number.isSafeInteger(n) && tilePath(place.level, n, place.width) === path ? place : undefined;
}

/** Entries, each after its length as a big-endian uint16. */
export function encodeEntries(entries: readonly Uint8Array[]): Bytes {
  return concat(
    entries.flatMap((entry) => {
      if (entry.byteLength > ENTRY_MAX) throw new RangeError(`an entry of ${entry.byteLength} bytes`);
      return [new Uint8Array([entry.byteLength >> 8, entry.byteLength & 0xff]), entry];
    }),
  );
}

/** The entries of an entry bundle; undefined when it does not end where its last entry does. */
export function decodeEntries(bytes: Uint8Array): Uint8Array[] | undefined {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.byteLength) {
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    const end = at + 2 + length;
    if (end > bytes.byteLength || at + 2 > bytes.byteLength) return undefined;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}
