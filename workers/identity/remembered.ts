/** A bounded memory: the least recently used goes first, and nothing outlives its time. */
export class Remembered<T> {
  readonly #max: number;
  /** In order of use: a Map keeps the order of insertion. */
  readonly #held = new Map<string, { readonly value: T; readonly expires: number }>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#held.size;
  }

  recall(key: string, now: number): T | undefined {
    const entry = this.#held.get(key);
    if (!entry) return undefined;
    this.#held.delete(key);
    if (entry.expires <= now) return undefined;
    this.#held.set(key, entry);
    return entry.value;
  }

  keep(key: string, value: T, expires: number): void {
    this.#held.delete(key);
    this.#held.set(key, { value, expires });
    if (this.#held.size <= this.#max) return;
    for (const oldest of this.#held.keys()) {
      this.#held.delete(oldest);
      return;
    }
  }

  forget(key: string): void {
    this.#held.delete(key);
  }
}
