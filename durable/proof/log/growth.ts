/** How a log's tree grows: from the edge it had and the leaves that are new, its new edge, root, tiles and proofs. */
import { type Bytes, concat } from "../bytes.ts";
import { emptyRoot, leafAt, leafCount, nodeHash, rootOf, subtreeSizes } from "../merkle.ts";
import { inclusionPath } from "../proofs.ts";
import { TILE, type TileLevel, tilePath } from "./tile.ts";

/** The hashes of the incomplete tile of each level, lowest level first: O(log n) of a tree of any size. */
export type Edge = { readonly size: number; readonly hashes: Bytes };

export const EMPTY_EDGE: Edge = { size: 0, hashes: new Uint8Array() };

export type Tile = {
  readonly level: TileLevel;
  readonly path: string;
  readonly bytes: Bytes;
  readonly full: boolean;
};

/** One level of the tree near its right end: hashes from index `first` on. `known` of them were there before. */
type Level = { readonly first: number; readonly known: number; readonly hashes: Bytes };

export class Growth {
  readonly size: number;
  readonly #levels: readonly Level[];

  constructor(edge: Edge, leaves: readonly Uint8Array[]) {
    this.size = edge.size + leaves.length;
    this.#levels = levelsOf(edge, leaves);
  }

  get root(): Bytes {
    return this.size === 0 ? emptyRoot() : this.#subtree(0, this.size);
  }

  get edge(): Edge {
    const last = this.#levels.map(({ hashes }) =>
      hashes.slice(hashes.byteLength - (hashes.byteLength % (TILE * 32))),
    );
    return { size: this.size, hashes: concat(last) };
  }

  /** Tiles of hashes that the growth filled or changed, lowest level first. */
  tiles(): Tile[] {
    return this.#levels.flatMap(({ first, known, hashes }, level) => {
      const tiles: Tile[] = [];
      const count = leafCount(hashes);
      for (let at = 0; at < count; at += TILE) {
        const width = Math.min(TILE, count - at);
        if (at + width <= known) continue;
        const path = tilePath(level, (first + at) / TILE, width);
        tiles.push({ level, path, bytes: hashes.slice(at * 32, (at + width) * 32), full: width === TILE });
      }
      return tiles;
    });
  }

  /** The inclusion proof of a leaf that is new, in the tree as it is now. */
  inclusion(index: number): Bytes[] {
    return inclusionPath(index, this.size, (from, to) => this.#subtree(from, to));
  }

  /** The hash over leaves [from, to), which begin at a multiple of every power of two that fits between them. */
  #subtree(from: number, to: number): Bytes {
    let root: Bytes | undefined;
    let end = to;
    for (const size of subtreeSizes(from, to - from).reverse()) {
      const whole = this.perfect(end - size, size);
      if (!whole) throw new RangeError(`leaf ${end - size} is left of the edge that is known`);
      root = root ? nodeHash(whole, root) : whole;
      end -= size;
    }
    if (!root) throw new RangeError("a subtree without leaves");
    return root;
  }

  /** The hash over `size` leaves, a power of two, from a multiple of it; undefined where it is left of the edge. */
  perfect(from: number, size: number): Bytes | undefined {
    let level = 0;
    let [at, width] = [from, size];
    // Hashes of a level stand for 256 of the level below.
    while (width >= TILE) [level, at, width] = [level + 1, at / TILE, width / TILE];
    const { first, hashes } = this.#levels[level] ?? { first: 0, hashes: new Uint8Array() };
    if (at < first) return undefined;
    if (width === 1) return new Uint8Array(leafAt(hashes, at - first));
    return rootOf(hashes, at - first, at - first + width);
  }
}

function levelsOf(edge: Edge, leaves: readonly Uint8Array[]): Level[] {
  const levels: Level[] = [];
  let fresh: readonly Uint8Array[] = leaves;
  let [count, offset] = [edge.size, 0];
  while (count > 0 || fresh.length > 0) {
    const known = count % TILE;
    const before = edge.hashes.slice(offset, offset + known * 32);
    offset += known * 32;
    const hashes = concat([before, ...fresh]);
    levels.push({ first: count - known, known, hashes });
    const filled = Math.floor(leafCount(hashes) / TILE);
    fresh = Array.from({ length: filled }, (_, i) => rootOf(hashes, i * TILE, (i + 1) * TILE));
    count = Math.floor(count / TILE);
  }
  if (offset !== edge.hashes.byteLength)
    throw new RangeError(`an edge of a tree of ${edge.size} with other hashes`);
  return levels;
}
