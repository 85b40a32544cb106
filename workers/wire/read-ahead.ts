/** Reads on while its taker is busy: what comes in many small pieces is taken in few large ones. */

type Bytes = Uint8Array;

/** What is set aside at first; a stream that brings more gets more, up to the bound and one piece. */
const FIRST = 16 * 1024;
/** How often `take` gives the source another moment, while each brings so much that more of it is worth waiting for. */
const MOMENTS = 32;
const WORTH = 4 * 1024;

export class ReadAhead {
  readonly #read: () => Promise<Bytes | undefined>;
  readonly #limit: number;
  readonly #moment: (() => Promise<void>) | undefined;
  #held = new Uint8Array(0);
  #size = 0;
  #over = false;
  #failure: { readonly cause: unknown } | undefined;
  /** Ends the moment that is waited for. */
  #enough: () => void = () => undefined;
  /** Wakes whichever side waits for the other. */
  #wake: () => void = () => undefined;

  /**
   * `read` gives the next piece, good until it is called again, or undefined at the end. At most `limit` bytes and one piece are held. `moment` is how
   * long the source may take between pieces that are worth taking together: a millisecond, in which the event loop turns. Without
   * it what has come is given at once: of events that somebody waits for, only those that came while the taker was busy are joined.
   */
  constructor(read: () => Promise<Bytes | undefined>, limit: number, moment?: () => Promise<void>) {
    this.#read = read;
    this.#limit = limit;
    this.#moment = moment;
    this.#fill().catch(() => undefined);
  }

  /** All that has come, with a moment a moment after anything has; undefined at the end. What came before a failure is given first. */
  async take(): Promise<Bytes | undefined> {
    while (this.#size === 0 && !this.#over) await this.#pause();
    if (this.#moment) await this.#linger(this.#moment);
    if (this.#size === 0) {
      if (this.#failure) throw this.#failure.cause;
      return undefined;
    }
    // A part of a buffer takes all of it along, wherever it is sent: of a small part that is a copy, not more.
    const small = this.#size * 2 < this.#held.byteLength;
    const taken = small ? this.#held.slice(0, this.#size) : this.#held.subarray(0, this.#size);
    if (!small) this.#held = new Uint8Array(0);
    this.#size = 0;
    this.#wake();
    return taken;
  }

  /** No longer than until the end, after which nothing is worth waiting for. */
  async #linger(moment: () => Promise<void>): Promise<void> {
    for (let moments = 0; moments < MOMENTS && this.#size < this.#limit && !this.#over; moments++) {
      const before = this.#size;
      await new Promise<void>((resolve, reject) => {
        this.#enough = resolve;
        moment().then(resolve, reject);
      });
      if (this.#size - before < WORTH) return;
    }
  }

  async #fill(): Promise<void> {
    try {
      for (let piece = await this.#read(); piece; piece = await this.#read()) {
        this.#keep(piece);
        this.#wake();
        while (this.#size >= this.#limit) await this.#pause();
      }
    } catch (cause) {
      this.#failure = { cause };
    }
    this.#over = true;
    this.#enough();
    this.#wake();
  }

  #keep(piece: Bytes): void {
    const needed = this.#size + piece.byteLength;
    if (needed > this.#held.byteLength) {
      const grown = new Uint8Array(Math.max(needed, Math.min(this.#held.byteLength * 4, this.#limit), FIRST));
      grown.set(this.#held.subarray(0, this.#size));
      this.#held = grown;
    }
    this.#held.set(piece, this.#size);
    this.#size = needed;
  }

  /** Never both sides at once: one waits for something to be there, the other for room. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
