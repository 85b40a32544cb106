/** The objects looked at last, up to so many bytes: deltas build on them. */
import type { Bytes } from "./bytes.ts";

export class Recent<Key> {
  readonly #most: number;
  readonly #held = new Map<Key, Bytes>();
  #size = 0;

  /** Holds at most `most` bytes; what is larger by itself than a quarter of that is not held at all. */
  constructor(most: number) {
    this.#most = most;
  }

  get(key: Key): Bytes | undefined {
    const content = this.#held.get(key);
    if (content) {
      this.#held.delete(key);
      this.#held.set(key, content);
    }
    return content;
  }

  keep(key: Key, content: Bytes): void {
    if (content.byteLength > this.#most / 4 || this.#held.has(key)) return;
    this.#held.set(key, content);
    this.#size += content.byteLength;
    for (const [oldest, bytes] of this.#held) {
      if (this.#size <= this.#most) return;
      this.#held.delete(oldest);
      this.#size -= bytes.byteLength;
    }
  }
}
