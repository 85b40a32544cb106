/** Waits for one thing after another, unless something ends all of it. */

/**
 * `Promise.race` with a promise that settles late, or never, keeps the result of every race until then: all bytes of a
 * stream, for as long as it flows. Here nothing is kept of what was waited for.
 */
export class UntilOver {
  readonly #waiting = new Set<(cause: unknown) => void>();
  #over: { readonly cause: unknown } | undefined;

  /** `ended` rejects when it is over. */
  constructor(ended: Promise<never>) {
    ended.catch((cause: unknown) => {
      this.#over = { cause };
      for (const reject of this.#waiting) reject(cause);
      this.#waiting.clear();
    });
  }

  /** What `work` gives, or the reason for which it is over by then. */
  async wait<T>(work: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (this.#over) reject(this.#over.cause);
    this.#waiting.add(reject);
    work.then(resolve, reject);
    try {
      return await promise;
    } finally {
      this.#waiting.delete(reject);
    }
  }
}
