/**
 * Reads all of a pack (gitformat-pack(5)) in bounded memory: every object is inflated, deltas are followed, ids are
 * hashes of content, the checksum is held against the bytes. What `git index-pack` does, for packs nobody trusts.
 *
 * One pass over the bytes as they arrive settles whatever builds on recent objects. Deltas whose base is no longer held,
 * or comes later, wait; then they are settled base by base, from bytes that are read again where they were spooled.
 */
import { createHash } from "node:crypto";
import { ArrivingPack } from "./arriving.ts";
import { type Bytes, broken, excessive, idLengthOf, type Kind, type ObjectFormat } from "./bytes.ts";
import { applyDelta, deltaTarget } from "./delta.ts";
import { type Entry, readEntry } from "./entry.ts";
import { deflatedMost, inflateExactly } from "./inflate.ts";
import { ObjectTable } from "./object-table.ts";
import { Recent } from "./recent.ts";

/** Bounds; whatever goes over one of them is refused. */
export type Bounds = {
  readonly objects: number;
  /** Bytes of a commit or a tag, and of a tree. */
  readonly text: number;
  readonly tree: number;
  /** Bytes of an object that has to be held as a whole: one that is a delta, or the base of one. */
  readonly held: number;
  /** Larger blobs are inflated piece by piece and not held. */
  readonly small: number;
  /** Deltas between an object and a whole one. */
  readonly depth: number;
  /** Bytes of recent files that are held, and of recent commits, trees and tags, which are looked at again. */
  readonly recent: number;
  readonly history: number;
  /** Bytes that may be inflated and made, at least, and for each byte of the pack. */
  readonly workLeast: number;
  readonly workRatio: number;
};

const MB = 1024 * 1024;
export const BOUNDS: Bounds = {
  objects: 1_000_000,
  text: MB,
  tree: 16 * MB,
  held: 64 * MB,
  small: MB,
  depth: 4_095,
  recent: 32 * MB,
  history: 64 * MB,
  workLeast: 1024 * MB,
  workRatio: 256,
};

/** Where a pack's bytes come from. */
export type PackSource = {
  /** The next piece in order, good until the next call; undefined at the end. */
  readonly next: () => Promise<Bytes | undefined>;
  /** Bytes that `next` has given, again. */
  readonly again: (offset: number, length: number) => Promise<Bytes>;
};

/** An object as it is settled. `content` is missing when it is too large to be held; it must not be changed or kept. */
export type Settled = {
  readonly kind: Kind;
  readonly id: string;
  readonly size: number;
  readonly content: Bytes | undefined;
};

/**
 * `see` gets every object once, bases before what builds on them; `through` the pieces of a blob whose content will be
 * missing, good until it returns, before `see` gets the blob. Throws `Refusal`.
 */
export async function readWholePack(
  source: PackSource,
  format: ObjectFormat,
  see: (object: Settled) => void,
  bounds: Bounds = BOUNDS,
  through: (piece: Bytes) => void = () => undefined,
): Promise<WholePack> {
  const pack = new WholePack(source, format, see, bounds, through);
  await pack.read();
  return pack;
}

export class WholePack {
  readonly table: ObjectTable;
  version = 0;
  /** How often bytes had to be had again. */
  looks = 0;
  readonly #source: PackSource;
  readonly #format: ObjectFormat;
  readonly #see: (object: Settled) => void;
  readonly #through: (piece: Bytes) => void;
  readonly #bounds: Bounds;
  readonly #idLength: number;
  readonly #files: Recent<number>;
  readonly #history: Recent<number>;
  /** Deltas that are not settled, with what their base is. */
  readonly #waiting = new Map<number, number | string>();
  #end = 0;
  #work = 0;

  constructor(
    source: PackSource,
    format: ObjectFormat,
    see: (object: Settled) => void,
    bounds: Bounds = BOUNDS,
    through: (piece: Bytes) => void = () => undefined,
  ) {
    this.#source = source;
    this.#format = format;
    this.#see = see;
    this.#through = through;
    this.#bounds = bounds;
    this.#idLength = idLengthOf(format);
    this.table = new ObjectTable(this.#idLength);
    this.#files = new Recent(bounds.recent);
    this.#history = new Recent(bounds.history);
  }

  async read(): Promise<void> {
    const arriving = new ArrivingPack(this.#source.next, this.#format);
    const objects = await this.#head(arriving);
    for (let i = 0; i < objects; i++) await this.#object(arriving);
    this.#end = arriving.offset;
    await arriving.finish(this.#idLength);
    await this.#settleWaiting();
  }

  /** The object of an id, read again; undefined when the pack does not have it, or it is too large to be held. */
  async object(id: string): Promise<{ readonly kind: Kind; readonly content: Bytes } | undefined> {
    const index = this.table.findHex(id);
    const kind = index < 0 ? undefined : this.table.kind(index);
    if (!kind || this.table.size(index) > this.#bounds.held) return undefined;
    return { kind, content: await this.#content(index) };
  }

  /** Kind and size of the object of an id. */
  find(id: string): { readonly kind: Kind; readonly size: number } | undefined {
    const index = this.table.findHex(id);
    const kind = index < 0 ? undefined : this.table.kind(index);
    return kind && { kind, size: this.table.size(index) };
  }

  async #head(arriving: ArrivingPack): Promise<number> {
    if (!(await arriving.fill(12))) throw broken("it is cut off");
    const { held } = arriving;
    const view = new DataView(held.buffer, held.byteOffset, 12);
    this.version = view.getUint32(4);
    if (view.getUint32(0) !== 0x5041434b || (this.version !== 2 && this.version !== 3))
      throw broken("it is not of version 2 or 3");
    const objects = view.getUint32(8);
    if (objects > this.#bounds.objects)
      throw excessive(
        `it has ${objects} objects, and ${this.#bounds.objects} are read at most; push it in parts`,
      );
    arriving.consume(12);
    return objects;
  }

  async #object(arriving: ArrivingPack): Promise<void> {
    const at = arriving.offset;
    const more = await arriving.fill(20 + this.#idLength);
    // What is left could only be the checksum: read as an object it would be refused for something it is not.
    if (!more && arriving.held.byteLength <= this.#idLength)
      throw broken("it has fewer objects than it says, or is cut off");
    const entry = readEntry(arriving.held, 0, this.#idLength);
    if (!entry) throw broken("an object is cut off");
    arriving.consume(entry.data);
    const { is, size } = entry;
    if (typeof is === "object") return this.#delta(arriving, at, is, size);
    const index = this.table.add(at, -1);
    this.#requireSize(is, size);
    this.#spend(size, arriving.offset);
    if (is === "blob" && size > this.#bounds.small) {
      const hash = this.#hashOf(is, size);
      await arriving.inflateThrough(size, (piece) => {
        hash.update(piece);
        this.#through(piece);
      });
      this.#settle(index, is, size, hash.digest(), undefined);
    } else this.#settleContent(index, is, await arriving.inflate(size));
  }

  async #delta(
    arriving: ArrivingPack,
    at: number,
    is: Exclude<Entry["is"], Kind>,
    size: number,
  ): Promise<void> {
    const base = "distance" in is ? this.table.at(at - is.distance) : this.table.findHex(is.id);
    if ("distance" in is && (base < 0 || is.distance === 0))
      throw broken("a delta's base is no object of it");
    if (size > this.#bounds.held) throw tooLarge(this.#bounds.held);
    this.#spend(size, arriving.offset);
    const index = this.table.add(at, base);
    const delta = await arriving.inflate(size);
    const kind = base < 0 ? undefined : this.table.kind(base);
    const held = kind && this.#recent(kind).get(base);
    if (kind && held) this.#apply(index, kind, held, delta, arriving.offset);
    else this.#waiting.set(index, "id" in is && base < 0 ? is.id : base);
  }

  /** Base by base, each held while its deltas are made of it, however deep. */
  async #settleWaiting(): Promise<void> {
    const children = new Map<number | string, number[]>();
    const bases = new Set<number>();
    for (const [index, named] of this.#waiting) {
      const found = typeof named === "string" ? this.table.findHex(named) : named;
      if (found >= 0 && typeof named === "string") this.table.setBase(index, found);
      const base = found >= 0 ? found : named;
      children.set(base, [...(children.get(base) ?? []), index]);
      if (found >= 0 && this.table.kind(found)) bases.add(found);
    }
    for (const root of bases) {
      const stack = [root];
      for (let base = stack.pop(); base !== undefined; base = stack.pop()) {
        const id = this.table.id(base);
        const own = [...(children.get(base) ?? []), ...(children.get(id) ?? [])];
        if (own.length === 0) continue;
        children.delete(base);
        children.delete(id);
        await this.#settleOn(base, own);
        stack.push(...own);
      }
    }
    if (this.#waiting.size > 0)
      throw broken(
        `${this.#waiting.size} deltas build on objects it does not hold; push again with --no-thin`,
      );
  }

  async #settleOn(base: number, deltas: readonly number[]): Promise<void> {
    const kind = this.table.kind(base);
    if (!kind) throw new Error("a base is not settled");
    const content = await this.#content(base);
    for (const index of deltas) {
      this.table.setBase(index, base);
      this.#apply(index, kind, content, await this.#inflateAgain(index), this.#end);
      this.#waiting.delete(index);
    }
  }

  #apply(index: number, kind: Kind, base: Bytes, delta: Bytes, read: number): void {
    const size = deltaTarget(delta);
    if (size > this.#bounds.held) throw tooLarge(this.#bounds.held);
    this.#requireSize(kind, size);
    this.#spend(size, read);
    if (this.table.depth(this.table.base(index)) >= this.#bounds.depth)
      throw excessive(
        `it has more than ${this.#bounds.depth} deltas in a row; repack with a smaller pack.depth`,
      );
    this.#settleContent(index, kind, applyDelta(base, delta, this.#bounds.held));
  }

  #settleContent(index: number, kind: Kind, content: Bytes): void {
    const id = this.#hashOf(kind, content.byteLength).update(content).digest();
    this.#recent(kind).keep(index, content);
    this.#settle(index, kind, content.byteLength, id, content);
  }

  #settle(index: number, kind: Kind, size: number, id: Uint8Array, content: Bytes | undefined): void {
    this.table.settle(index, kind, size, id);
    this.#see({ kind, id: this.table.id(index), size, content });
  }

  #recent = (kind: Kind): Recent<number> => (kind === "blob" ? this.#files : this.#history);

  #hashOf(kind: Kind, size: number) {
    return createHash(this.#format).update(`${kind} ${size}\0`);
  }

  /** A settled object's bytes: held, or made again from the nearest base that is, or from a whole one. */
  async #content(index: number): Promise<Bytes> {
    const deltas: number[] = [];
    let at = index;
    const recent = this.#recent(this.table.kind(index) ?? "blob");
    let content = recent.get(at);
    while (!content && this.table.base(at) >= 0) {
      deltas.push(at);
      at = this.table.base(at);
      content = recent.get(at);
    }
    if (!content && this.table.size(at) > this.#bounds.held) throw tooLarge(this.#bounds.held);
    let made = content ?? (await this.#inflateAgain(at));
    for (const delta of deltas.reverse()) {
      this.#spend(this.table.size(delta), this.#end);
      made = applyDelta(made, await this.#inflateAgain(delta), this.#bounds.held);
    }
    recent.keep(index, made);
    return made;
  }

  /** What the entry of an object holds: its content, or its delta. */
  async #inflateAgain(index: number): Promise<Bytes> {
    const offset = this.table.offset(index);
    const end = index + 1 < this.table.count ? this.table.offset(index + 1) : this.#end;
    this.looks += 1;
    const bytes = await this.#source.again(offset, end - offset);
    const entry = readEntry(bytes, 0, this.#idLength);
    if (!entry) throw new Error("an object that was read is not there any more");
    if (bytes.byteLength > 2 * deflatedMost(entry.size) + 64) throw broken("an object is too long");
    this.#spend(entry.size, this.#end);
    const inflated = inflateExactly(bytes.subarray(entry.data), entry.size);
    if (!inflated) throw new Error("an object that was inflated is not whole any more");
    return inflated.content;
  }

  #requireSize(kind: Kind, size: number): void {
    const most =
      kind === "blob" ? Number.MAX_SAFE_INTEGER : kind === "tree" ? this.#bounds.tree : this.#bounds.text;
    if (size > most) throw excessive(`it has a ${kind} of ${size} bytes, and ${most} are read at most`);
  }

  /** A small pack must not cost the work of a large one. */
  #spend(bytes: number, read: number): void {
    this.#work += bytes;
    if (this.#work > Math.max(this.#bounds.workLeast, this.#bounds.workRatio * read))
      throw excessive("it inflates to more than a gateway unpacks for its size");
  }
}

const tooLarge = (most: number) =>
  excessive(
    `it has a delta of an object over ${most} bytes; push again with git -c core.bigFileThreshold=${most / 2}`,
  );
