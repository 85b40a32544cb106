/** Reads the commits of a pack (gitformat-pack(5)) from as much of it as is there, within bounds on memory and time. */
import { createHash } from "node:crypto";
import type { Commit, PackSummary } from "#durable/format/frame.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { type Bytes, broken, hex, idLengthOf, type Kind, type ObjectFormat } from "./bytes.ts";
import { readCommit } from "./commit.ts";
import { applyDelta, mayMakeCommit } from "./delta.ts";
import { readEntry } from "./entry.ts";
import { deflatedMost, type Inflated, inflateExactly } from "./inflate.ts";

export type PackContents = { readonly summary: PackSummary; readonly commits: readonly Commit[] };

/** Bounds. Over the first, an object is refused; at the others, reading stops and the summary says `leading`. */
export const OBJECT_MAX = 1024 * 1024;
const KEPT_MAX = 32 * 1024 * 1024;
const INFLATED_MAX = 64 * 1024 * 1024;
const OBJECTS_MAX = 50_000;
/** A session's last head names every commit of its pushes: what one push brings must fit. */
export const COMMITS_MAX = 25_000;
const UNREAD_MAX = 1_000;

type Entry = {
  readonly at: number;
  readonly size: number;
  /** Where its zlib stream begins. */
  readonly data: number;
  /** The kind it says, or for a delta the object it is a delta of. */
  readonly is: Kind | { readonly offset: number } | { readonly id: string };
};
/** A kind alone for trees and blobs; commits and tags keep their bytes, as bases of later deltas. */
type Read = { readonly kind: Kind; readonly content?: Bytes };

/**
 * `bytes` begin with `PACK`; `ended` when they are all that comes. Then every object is walked and the pack's checksum
 * verified (`all`); else reading stops at the first tree or blob, or where the bytes stop (`leading`): git writes commits
 * and tags first. Ids are computed from content, so no pack can claim a commit it does not hold.
 */
export function readPack(bytes: Bytes, ended: boolean, format: ObjectFormat): PackContents {
  return new Pack(bytes, ended, format).read();
}

class Pack {
  readonly #bytes: Bytes;
  readonly #ended: boolean;
  readonly #format: ObjectFormat;
  readonly #idLength: number;
  readonly #byOffset = new Map<number, Read | undefined>();
  readonly #byId = new Map<string, Read>();
  readonly #commits: Commit[] = [];
  readonly #unread: number[] = [];
  #kept = 0;
  #inflated = 0;

  constructor(bytes: Bytes, ended: boolean, format: ObjectFormat) {
    this.#bytes = bytes;
    this.#ended = ended;
    this.#format = format;
    this.#idLength = idLengthOf(format);
  }

  read(): PackContents {
    if (this.#bytes.byteLength < 12) {
      if (this.#ended) throw broken("it is cut off");
      return this.#contents({ version: 2, objects: 0 }, "leading");
    }
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, 12);
    const [magic, version, objects] = [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
    if (magic !== 0x5041434b || (version !== 2 && version !== 3)) throw broken("it is not of version 2 or 3");
    let at = 12;
    for (let i = 0; i < objects; i++) {
      const room = i < OBJECTS_MAX && this.#commits.length < COMMITS_MAX;
      const next = room ? this.#object(at) : undefined;
      if (next === undefined) return this.#contents({ version, objects }, "leading");
      at = next;
    }
    if (!this.#ended) return this.#contents({ version, objects }, "leading");
    this.#checkTrailer(at);
    return this.#contents({ version, objects }, "all");
  }

  /** Reads one object and returns where the next begins, or undefined when reading stops here. */
  #object(at: number): number | undefined {
    const entry = this.#entry(at);
    if (!entry) return undefined;
    const base = typeof entry.is === "object" ? this.#base(entry) : undefined;
    const kind = typeof entry.is === "string" ? entry.is : base?.kind;
    const wanted = kind === "commit" || kind === "tag";
    if (wanted && entry.size > OBJECT_MAX)
      throw new Refusal("too_large", "The pack has a commit or tag that is too large.");
    if (!wanted && (!this.#ended || this.#inflated + entry.size > INFLATED_MAX)) return undefined;
    if (this.#kept > KEPT_MAX) return undefined;
    const inflated = this.#inflate(entry);
    if (!inflated) return undefined;
    if (kind !== undefined && wanted) {
      const content = base?.content
        ? applyDelta(base.content, inflated.content, OBJECT_MAX)
        : inflated.content;
      this.#keep(at, kind, content);
    } else {
      this.#byOffset.set(at, kind === undefined ? undefined : { kind });
      if (kind === undefined && mayMakeCommit(inflated.content) && this.#unread.length < UNREAD_MAX)
        this.#unread.push(at);
    }
    return inflated.end;
  }

  /** The type, size and base of the entry at `at`; undefined when the bytes stop within it and more may come. */
  #entry(at: number): Entry | undefined {
    const entry = readEntry(this.#bytes, at, this.#idLength);
    if (!entry) {
      if (this.#ended) throw broken("it is cut off");
      return undefined;
    }
    const { size, data, is } = entry;
    return {
      at,
      size,
      data,
      is: typeof is === "object" && "distance" in is ? { offset: at - is.distance } : is,
    };
  }

  /** The object a delta builds on, or undefined when the server has it and this pack does not. */
  #base({ is }: Entry): Read | undefined {
    if (typeof is !== "object") return undefined;
    if ("id" in is) return this.#byId.get(is.id);
    if (!this.#byOffset.has(is.offset)) throw broken("a delta's base is no object of it");
    return this.#byOffset.get(is.offset);
  }

  #keep(at: number, kind: Kind, content: Bytes): void {
    const hash = createHash(this.#format).update(`${kind} ${content.byteLength}\0`).update(content);
    const id = hash.digest("hex");
    const read = { kind, content };
    this.#byOffset.set(at, read);
    this.#kept += content.byteLength;
    if (this.#byId.has(id)) return;
    this.#byId.set(id, read);
    if (kind === "commit") this.#commits.push(readCommit(id, content));
  }

  /** The input is tried in a window of what deflate could make of that size: an object must not cost all that follows it. */
  #inflate({ data, size }: Entry): { readonly content: Bytes; readonly end: number } | undefined {
    const end = this.#bytes.byteLength;
    const near = data + deflatedMost(size);
    const result: Inflated | undefined =
      (near < end ? inflateExactly(this.#bytes.subarray(data, near), size) : undefined) ??
      inflateExactly(this.#bytes.subarray(data, end), size);
    if (!result) {
      if (this.#ended) throw broken("an object is cut off");
      return undefined;
    }
    this.#inflated += size;
    return { content: result.content, end: data + result.used };
  }

  #checkTrailer(at: number): void {
    const expected = createHash(this.#format).update(this.#bytes.subarray(0, at)).digest("hex");
    if (hex(this.#bytes.subarray(at)) !== expected) throw broken("its checksum does not match");
  }

  #contents(head: Pick<PackSummary, "version" | "objects">, scanned: PackSummary["scanned"]): PackContents {
    const summary = { ...head, scanned, commits: this.#commits.length, unread: this.#unread };
    return { summary, commits: this.#commits };
  }
}
