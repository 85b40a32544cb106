/** Consistency proofs from any earlier size: from the tree's edge where it reaches, else from full tiles in the archive. */
import { tileKey } from "#durable/format/layout.ts";
import type { Bytes } from "#durable/proof/bytes.ts";
import type { Growth } from "#durable/proof/log/growth.ts";
import { TILE, tilePath } from "#durable/proof/log/tile.ts";
import { emptyRoot, nodeHash, rootOf, subtreeSizes } from "#durable/proof/merkle.ts";
import { consistencyPath, verifyConsistency } from "#durable/proof/proofs.ts";
import type { Archive } from "../archive.ts";

/**
 * The proof that `growth` extends the tree over its first `old` entries. O(log n) tiles are read, each once a proof.
 * Throws when a tile is not there, or does not hold what the tree was made of: a proof that is returned holds.
 */
export async function extension(
  archive: Pick<Archive, "get">,
  growth: Growth,
  old: number,
): Promise<readonly Bytes[]> {
  const { size } = growth;
  const wanted: (readonly [number, number])[] = [];
  consistencyPath(old, size, (from, to) => {
    wanted.push([from, to]);
    return emptyRoot();
  });
  const tiles = new Map<string, Promise<Bytes>>();
  const hash = (from: number, to: number) => subtree(archive, growth, tiles, from, to);
  const hashes = new Map<string, Bytes>();
  for (const [from, to] of wanted) hashes.set(`${from} ${to}`, await hash(from, to));
  const proof = consistencyPath(old, size, (from, to) => hashes.get(`${from} ${to}`) ?? emptyRoot());
  const before = old === 0 ? emptyRoot() : await hash(0, old);
  if (!verifyConsistency(old, size, before, growth.root, proof))
    throw new Error(`the archive's tiles do not make the tree of ${size} entries that was signed`);
  return proof;
}

async function subtree(
  archive: Pick<Archive, "get">,
  growth: Growth,
  tiles: Map<string, Promise<Bytes>>,
  from: number,
  to: number,
): Promise<Bytes> {
  let root: Bytes | undefined;
  let end = to;
  for (const size of subtreeSizes(from, to - from).reverse()) {
    const whole = growth.perfect(end - size, size) ?? (await stored(archive, tiles, end - size, size));
    root = root ? nodeHash(whole, root) : whole;
    end -= size;
  }
  return root ?? emptyRoot();
}

/** The root over a perfect subtree that is left of the edge, where all tiles are full. */
async function stored(
  archive: Pick<Archive, "get">,
  tiles: Map<string, Promise<Bytes>>,
  from: number,
  size: number,
): Promise<Bytes> {
  let [level, at, width] = [0, from, size];
  while (width >= TILE) [level, at, width] = [level + 1, at / TILE, width / TILE];
  const path = tilePath(level, Math.floor(at / TILE));
  const known = tiles.get(path) ?? readTile(archive, path);
  tiles.set(path, known);
  const first = at % TILE;
  return rootOf(await known, first, first + width);
}

async function readTile(archive: Pick<Archive, "get">, path: string): Promise<Bytes> {
  const tile = await archive.get(tileKey(path));
  if (tile?.byteLength !== TILE * 32) throw new Error(`${tileKey(path)} is not a full tile`);
  return tile;
}
