/** Requests that wait, by what their client calls them: it takes back by a message of its own, not by hanging up. */
export class Cancellations {
  readonly #waiting = new Map<string, AbortController>();

  /** The signal aborts when the client takes the request back. `done` forgets it. */
  register(key: string): { readonly signal: AbortSignal; readonly done: () => void } {
    const controller = new AbortController();
    this.#waiting.set(key, controller);
    return {
      signal: controller.signal,
      done: () => {
        if (this.#waiting.get(key) === controller) this.#waiting.delete(key);
      },
    };
  }

  cancel(key: string): void {
    this.#waiting.get(key)?.abort();
  }
}
