/** Reads the commits of a pack (gitformat-pack(5)) from as much of it as is there, within bounds on memory and time. */
import { createHash } from "node:crypto";
import { inflateSync } from "node:zlib";
import type { Commit, PackSummary } from "#durable/format/frame.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { readCommit } from "./commit.ts";
import { applyDelta, mayMakeCommit } from "./delta.ts";

export type PackContents = { readonly summary: PackSummary; readonly commits: readonly Commit[] };

/** Bounds. Over the first, an object is refused; at the others, reading stops and the summary says `leading`. */
export const OBJECT_MAX = 1024 * 1024;
const KEPT_MAX = 32 * 1024 * 1024;
const INFLATED_MAX = 64 * 1024 * 1024;
const OBJECTS_MAX = 50_000;
/** A session's last head names every commit of its pushes: what one push brings must fit. */
export const COMMITS_MAX = 25_000;
const UNREAD_MAX = 1_000;

type Bytes = Uint8Array<ArrayBuffer>;
type Kind = "commit" | "tree" | "blob" | "tag";
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

const KINDS: readonly (Kind | undefined)[] = [undefined, "commit", "tree", "blob", "tag"];
const OFS_DELTA = 6;
const REF_DELTA = 7;

/**
 * `bytes` begin with `PACK`; `ended` when they are all that comes. Then every object is walked and the pack's checksum
 * verified (`all`); else reading stops at the first tree or blob, or where the bytes stop (`leading`): git writes commits
 * and tags first. Ids are computed from content, so no pack can claim a commit it does not hold.
 */
export function readPack(bytes: Bytes, ended: boolean, format: "sha1" | "sha256"): PackContents {
  return new Pack(bytes, ended, format).read();
}

class Pack {
  readonly #bytes: Bytes;
  readonly #ended: boolean;
  readonly #format: "sha1" | "sha256";
  readonly #idLength: number;
  readonly #byOffset = new Map<number, Read | undefined>();
  readonly #byId = new Map<string, Read>();
  readonly #commits: Commit[] = [];
  readonly #unread: number[] = [];
  #kept = 0;
  #inflated = 0;

  constructor(bytes: Bytes, ended: boolean, format: "sha1" | "sha256") {
    this.#bytes = bytes;
    this.#ended = ended;
    this.#format = format;
    this.#idLength = format === "sha1" ? 20 : 32;
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
    let data = at;
    const next = (): number => this.#bytes[data++] ?? Number.NaN;
    let byte = next();
    const type = (byte >> 4) & 7;
    let size = byte & 15;
    for (let unit = 16; byte >= 0x80; unit *= 128) {
      byte = next();
      size += (byte & 0x7f) * unit;
      if (size > Number.MAX_SAFE_INTEGER) throw broken("an object's size is absurd");
    }
    if (type === OFS_DELTA) {
      byte = next();
      let distance = byte & 0x7f;
      while (byte >= 0x80) {
        byte = next();
        distance = (distance + 1) * 128 + (byte & 0x7f);
        if (distance > Number.MAX_SAFE_INTEGER) throw broken("a delta's base is absurd");
      }
      if (this.#isCut(data)) return undefined;
      return { at, size, data, is: { offset: at - distance } };
    }
    if (type === REF_DELTA) {
      const id = hex(this.#bytes.subarray(data, data + this.#idLength));
      data += this.#idLength;
      if (this.#isCut(data)) return undefined;
      return { at, size, data, is: { id } };
    }
    if (this.#isCut(data)) return undefined;
    const kind = KINDS[type];
    if (!kind) throw broken("an object's type is unknown");
    return { at, size, data, is: kind };
  }

  /** Whether the bytes stop before `end`. When no more can come, that is a refusal. */
  #isCut(end: number): boolean {
    if (end <= this.#bytes.byteLength) return false;
    if (this.#ended) throw broken("it is cut off");
    return true;
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

  /**
   * Inflates exactly what the entry's size says; the engine stops at the first byte more. The input is tried in a window
   * of what deflate could make of that size, because an object must not cost the length of the pack that follows it.
   */
  #inflate({ data, size }: Entry): { readonly content: Bytes; readonly end: number } | undefined {
    const end = this.#bytes.byteLength;
    const near = data + size + (size >> 8) + 1024;
    const result =
      (near < end ? attempt(this.#bytes.subarray(data, near), size) : undefined) ??
      attempt(this.#bytes.subarray(data, end), size);
    if (!result) {
      if (this.#ended) throw broken("an object is cut off");
      return undefined;
    }
    if (result.content.byteLength !== size) throw broken("an object's size is not what it says");
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

/** What node:zlib returns with `info: true`; its types know only the buffer. */
type Inflated = { readonly buffer: Bytes; readonly engine: { readonly bytesWritten: number } };

/** Undefined when the stream does not end within `input`. */
function attempt(input: Bytes, size: number): { readonly content: Bytes; readonly used: number } | undefined {
  const chunkSize = Math.min(Math.max(size + 1, 64), 64 * 1024);
  try {
    const { buffer, engine } = inflateSync(input, {
      info: true,
      maxOutputLength: Math.max(size, 1),
      chunkSize,
    }) as unknown as Inflated;
    return { content: buffer, used: engine.bytesWritten };
  } catch (cause) {
    if (cause instanceof RangeError) throw broken("an object's size is not what it says", cause);
    if (cause instanceof Error && "code" in cause && cause.code === "Z_BUF_ERROR") return undefined;
    throw broken("an object is not zlib data", cause);
  }
}

function hex(bytes: Bytes): string {
  let text = "";
  for (const byte of bytes.subarray(0, 64)) text += byte.toString(16).padStart(2, "0");
  return text;
}

const broken = (why: string, cause?: unknown) =>
  new Refusal("malformed", `The pack cannot be read: ${why}.`, cause === undefined ? {} : { cause });
