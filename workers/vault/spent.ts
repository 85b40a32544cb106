/** Which clearances were used. One isolate's memory: it holds each until it would have expired anyway. */

const SWEEP_MIN = 1024;

export class Spent {
  /** Nonce to expiry, milliseconds since 1970. */
  readonly #used = new Map<string, number>();
  #sweepAt = SWEEP_MIN;

  get size(): number {
    return this.#used.size;
  }

  /** Uses a clearance up. False when it was used before or has expired: then nothing may be forwarded. */
  spend(claims: { readonly nonce: string; readonly expires: number }, now: number): boolean {
    if (claims.expires <= now || this.#used.has(claims.nonce)) return false;
    if (this.#used.size >= this.#sweepAt) this.#sweep(now);
    this.#used.set(claims.nonce, claims.expires);
    return true;
  }

  #sweep(now: number): void {
    for (const [nonce, expires] of this.#used) if (expires <= now) this.#used.delete(nonce);
    // Doubling keeps the cost of sweeping constant for each clearance.
    this.#sweepAt = Math.max(SWEEP_MIN, this.#used.size * 2);
  }
}
