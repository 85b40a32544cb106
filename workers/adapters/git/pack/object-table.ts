/** Every object of a pack, by its place and by its id, in some 60 bytes each. */
import { Buffer } from "node:buffer";
import { hex, type Kind } from "./bytes.ts";

const KINDS: readonly (Kind | undefined)[] = [undefined, "commit", "tree", "blob", "tag"];

export class ObjectTable {
  readonly #idLength: number;
  #count = 0;
  #offsets = new Float64Array(1024);
  #sizes = new Float64Array(1024);
  #kinds = new Uint8Array(1024);
  #depths = new Uint16Array(1024);
  /** Index of a delta's base; -1 for whole objects, and for deltas of an id that is not known yet. */
  #bases = new Int32Array(1024).fill(-1);
  #ids: Uint8Array;
  /** Open addressing over the first four bytes of ids: index + 1, or 0. */
  #slots = new Int32Array(4096);

  constructor(idLength: number) {
    this.#idLength = idLength;
    this.#ids = new Uint8Array(1024 * idLength);
  }

  get count(): number {
    return this.#count;
  }

  /** Takes the next object of the pack, whose id is not known yet. `base` is -1 for none. */
  add(offset: number, base: number): number {
    const index = this.#count++;
    if (index === this.#offsets.length) this.#grow();
    this.#offsets[index] = offset;
    this.#bases[index] = base;
    return index;
  }

  setBase(index: number, base: number): void {
    this.#bases[index] = base;
  }

  /** What it is. Of two objects with one id the first is found. */
  settle(index: number, kind: Kind, size: number, id: Uint8Array): void {
    this.#kinds[index] = KINDS.indexOf(kind);
    this.#sizes[index] = size;
    const base = this.base(index);
    this.#depths[index] = base < 0 ? 0 : this.depth(base) + 1;
    this.#ids.set(id, index * this.#idLength);
    if (this.find(id) < 0) this.#slots[this.#slotFor(id)] = index + 1;
  }

  /** Undefined until it is settled. */
  kind(index: number): Kind | undefined {
    return KINDS[this.#kinds[index] ?? 0];
  }

  size = (index: number): number => this.#sizes[index] ?? 0;
  base = (index: number): number => this.#bases[index] ?? -1;
  /** How many deltas lie between it and a whole object. */
  depth = (index: number): number => this.#depths[index] ?? 0;
  offset = (index: number): number => this.#offsets[index] ?? 0;
  id = (index: number): string => hex(this.#idAt(index));

  /** The object that begins at `offset`, or -1. */
  at(offset: number): number {
    let low = 0;
    let high = this.#count - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const there = this.offset(middle);
      if (there === offset) return middle;
      if (there < offset) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** The settled object of an id, or -1. */
  find(id: Uint8Array): number {
    return (this.#slots[this.#slotFor(id)] ?? 0) - 1;
  }

  findHex(id: string): number {
    return id.length === 2 * this.#idLength ? this.find(Buffer.from(id, "hex")) : -1;
  }

  #idAt(index: number): Uint8Array {
    return this.#ids.subarray(index * this.#idLength, (index + 1) * this.#idLength);
  }

  /** Where it is, or where it belongs. */
  #slotFor(id: Uint8Array): number {
    const mask = this.#slots.length - 1;
    for (let slot = prefixOf(id) & mask; ; slot = (slot + 1) & mask) {
      const index = (this.#slots[slot] ?? 0) - 1;
      if (index < 0 || same(this.#ids, index * this.#idLength, id)) return slot;
    }
  }

  #grow(): void {
    const room = this.#offsets.length * 2;
    this.#offsets = grown(this.#offsets, new Float64Array(room));
    this.#sizes = grown(this.#sizes, new Float64Array(room));
    this.#kinds = grown(this.#kinds, new Uint8Array(room));
    this.#depths = grown(this.#depths, new Uint16Array(room));
    this.#bases = grown(this.#bases, new Int32Array(room).fill(-1));
    this.#ids = grown(this.#ids, new Uint8Array(room * this.#idLength));
    this.#slots = new Int32Array(room * 4);
    // The newest has no id yet.
    for (let index = 0; index < this.#count - 1; index++) {
      if (this.#kinds[index] === 0) continue;
      const id = this.#idAt(index);
      if (this.find(id) < 0) this.#slots[this.#slotFor(id)] = index + 1;
    }
  }
}

type Column = Float64Array | Uint8Array | Uint16Array | Int32Array;

function grown<T extends Column>(old: T, room: T): T {
  room.set(old as never);
  return room;
}

const prefixOf = (id: Uint8Array): number =>
  (((id[0] ?? 0) << 24) | ((id[1] ?? 0) << 16) | ((id[2] ?? 0) << 8) | (id[3] ?? 0)) >>> 0;

function same(ids: Uint8Array, at: number, id: Uint8Array): boolean {
  for (let i = 0; i < id.byteLength; i++) if (ids[at + i] !== id[i]) return false;
  return true;
}
