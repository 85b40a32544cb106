/** The tiles of a log: each must hold what its entries make, and those that a reader of the newest checkpoint needs be there. */
import { tileKey } from "#durable/format/layout.ts";
import { type Bytes, concat, equal } from "../../bytes.ts";
import { decodeEntries, readTilePath, TILE, type TilePlace, tilePath } from "../../log/tile.ts";
import { leafHash, rootOf } from "../../merkle.ts";
import type { Context } from "../context.ts";

/** `leaves` are those of all entries; `size` is the newest checkpoint's. */
export async function checkTiles(context: Context, leaves: Bytes, size: number): Promise<void> {
  const { source, report } = context;
  const levels = levelsOf(leaves);
  const wanted = wantedTiles(size);
  for await (const object of source.list("log/tile/")) {
    const place = readTilePath(object.slice("log/".length));
    if (!place) {
      report("object_unknown", object, "no tile has such a name");
      continue;
    }
    wanted.delete(object);
    const bytes = await source.get(object);
    if (bytes) checkTile(context, object, place, bytes, levels);
  }
  for (const object of wanted) report("tile_missing", object, `the log of ${size} entries needs it`);
}

function checkTile(
  { report }: Context,
  object: string,
  place: TilePlace,
  bytes: Bytes,
  levels: readonly Bytes[],
): void {
  const { level, n, width } = place;
  const entries = level === "entries";
  const hashes = entries ? decodeEntries(bytes)?.map(leafHash) : split(bytes);
  if (hashes?.length !== width) {
    report("tile_altered", object, `it does not hold ${width} ${entries ? "entries" : "hashes"}`);
    return;
  }
  const whole = levels[entries ? 0 : level] ?? new Uint8Array();
  const known = whole.subarray(n * TILE * 32, (n * TILE + width) * 32);
  if (!equal(concat(hashes).subarray(0, known.byteLength), known))
    report("tile_altered", object, "it does not hold what the log's entries make");
  else if (known.byteLength < width * 32)
    report("object_unknown", object, "it is ahead of every checkpoint: nothing is said of the rest of it");
}

/** The leaf of an entry as the tiles have it. */
export async function tileLeaf({ source }: Context, index: number, size: number): Promise<Bytes | undefined> {
  const n = Math.floor(index / TILE);
  const bytes = await source.get(tileKey(tilePath(0, n, Math.min(TILE, size - n * TILE))));
  return bytes && split(bytes)?.[index % TILE];
}

function split(bytes: Bytes): Bytes[] | undefined {
  if (bytes.byteLength % 32 !== 0) return undefined;
  return Array.from({ length: bytes.byteLength / 32 }, (_, i) => bytes.slice(i * 32, i * 32 + 32));
}

function levelsOf(leaves: Bytes): Bytes[] {
  const levels = [leaves];
  for (let below = leaves; below.byteLength >= TILE * 32; ) {
    const filled = Math.floor(below.byteLength / (TILE * 32));
    const under = below;
    below = concat(Array.from({ length: filled }, (_, i) => rootOf(under, i * TILE, (i + 1) * TILE)));
    levels.push(below);
  }
  return levels;
}

function wantedTiles(size: number): Set<string> {
  const wanted = new Set<string>();
  for (let [level, count] = [0, size]; count > 0; [level, count] = [level + 1, Math.floor(count / TILE)])
    for (let n = 0; n * TILE < count; n++) {
      const width = Math.min(TILE, count - n * TILE);
      wanted.add(tileKey(tilePath(level, n, width)));
      if (level === 0) wanted.add(tileKey(tilePath("entries", n, width)));
    }
  return wanted;
}
