/** A pack as it arrives: what has come and is not consumed yet is held, hashed once, and inflated from. */
import { createHash, type Hash } from "node:crypto";
import { type Bytes, broken, type ObjectFormat } from "./bytes.ts";
import { deflatedMost, inflateExactly, LargeInflate } from "./inflate.ts";

/** What is set aside at first; an object that needs more gets more. */
const FIRST = 256 * 1024;

export class ArrivingPack {
  readonly #next: () => Promise<Bytes | undefined>;
  readonly #hash: Hash;
  #held: Bytes = new Uint8Array(FIRST);
  #at = 0;
  #size = 0;
  #hashed = 0;
  #ended = false;
  /** Where in the pack `#held` begins. */
  #before = 0;

  /** `next` gives the next piece, good until it is called again, or undefined at the end. */
  constructor(next: () => Promise<Bytes | undefined>, format: ObjectFormat) {
    this.#next = next;
    this.#hash = createHash(format);
  }

  /** Offset in the pack of the first byte that is not consumed. */
  get offset(): number {
    return this.#before + this.#at;
  }

  get held(): Bytes {
    return this.#held.subarray(this.#at, this.#size);
  }

  /** Waits until `length` bytes are held, or until there are no more: then false. */
  async fill(length: number): Promise<boolean> {
    while (this.#size - this.#at < length) {
      const piece = this.#ended ? undefined : await this.#next();
      if (!piece) {
        this.#ended = true;
        return false;
      }
      this.#append(piece);
    }
    return true;
  }

  consume(length: number): void {
    this.#at += length;
  }

  /** Inflates the stream that begins here. Refuses one that is longer than anything that deflates to `size`. */
  async inflate(size: number): Promise<Bytes> {
    const most = 2 * deflatedMost(size);
    for (let want = deflatedMost(size); ; want = most) {
      const more = await this.fill(want);
      const result = inflateExactly(this.held.subarray(0, want), size);
      if (result) {
        this.consume(result.used);
        return result.content;
      }
      if (!more) throw broken("an object is cut off");
      if (want >= most) throw broken("an object's zlib data goes on for too long");
    }
  }

  /** The same of an object that is not held as a whole. */
  async inflateThrough(size: number, take: (piece: Bytes) => void): Promise<void> {
    const engine = new LargeInflate(size, take);
    const from = this.offset;
    try {
      for (;;) {
        if (this.offset - from > 2 * deflatedMost(size))
          throw broken("an object's zlib data goes on for too long");
        if (!(await this.fill(1))) throw broken("an object is cut off");
        const piece = this.held;
        const used = await engine.write(piece);
        this.consume(used ?? piece.byteLength);
        if (used !== undefined) return;
      }
    } finally {
      engine.stop();
    }
  }

  /** Reads the trailer: the checksum over everything before it, and nothing behind it. */
  async finish(length: number): Promise<void> {
    this.#hashOn();
    const expected = this.#hash.digest();
    await this.fill(length + 1);
    const { held } = this;
    if (held.byteLength < length) throw broken("it is cut off");
    if (held.byteLength > length) throw broken("something follows its last object");
    if (!held.every((byte, i) => byte === expected[i])) throw broken("its checksum does not match");
  }

  #append(piece: Bytes): void {
    const needed = this.#size + piece.byteLength;
    if (needed > this.#held.byteLength) {
      this.#hashOn();
      const rest = this.held;
      const room = rest.byteLength + piece.byteLength;
      const target = room > this.#held.byteLength ? new Uint8Array(room * 2) : this.#held;
      target.set(rest);
      this.#before += this.#at;
      this.#held = target;
      this.#size = rest.byteLength;
      this.#at = 0;
      this.#hashed = 0;
    }
    this.#held.set(piece, this.#size);
    this.#size += piece.byteLength;
  }

  #hashOn(): void {
    this.#hash.update(this.#held.subarray(this.#hashed, this.#at));
    this.#hashed = this.#at;
  }
}
