/** Reads on while its taker is busy: what comes in many small pieces is taken in few large ones. */

type Bytes = Uint8Array;

/** Pieces shorter than this are copied: each would hold on to the whole buffer it was read into. */
const COPIED = 64 * 1024;
/** How often `take` gives the source another moment while each brings something. */
const MOMENTS = 32;

export class ReadAhead {
  readonly #read: () => Promise<Bytes | undefined>;
  readonly #limit: number;
  readonly #moment: () => Promise<void>;
  #pieces: Bytes[] = [];
  #size = 0;
  #over = false;
  #failure: { readonly cause: unknown } | undefined;
  /** Wakes whichever side waits for the other. */
  #wake: () => void = () => undefined;

  /**
   * `read` gives the next piece, or undefined at the end. At most `limit` bytes and one piece are held. `moment` is how
   * long the source may take between pieces that are worth taking together: a millisecond, in which the event loop turns.
   */
  constructor(read: () => Promise<Bytes | undefined>, limit: number, moment: () => Promise<void>) {
    this.#read = read;
    this.#limit = limit;
    this.#moment = moment;
    this.#fill().catch(() => undefined);
  }

  /** All that has come, a moment after anything has; undefined at the end. What came before a failure is given first. */
  async take(): Promise<Bytes | undefined> {
    while (this.#size === 0 && !this.#over) await this.#pause();
    await this.#linger();
    if (this.#size === 0) {
      if (this.#failure) throw this.#failure.cause;
      return undefined;
    }
    const taken = joined(this.#pieces, this.#size);
    this.#pieces = [];
    this.#size = 0;
    this.#wake();
    return taken;
  }

  async #linger(): Promise<void> {
    for (let moments = 0; moments < MOMENTS && this.#size < this.#limit && !this.#over; moments++) {
      const before = this.#size;
      await this.#moment();
      if (this.#size === before) return;
    }
  }

  async #fill(): Promise<void> {
    try {
      for (let piece = await this.#read(); piece; piece = await this.#read()) {
        this.#pieces.push(piece.byteLength < COPIED ? piece.slice() : piece);
        this.#size += piece.byteLength;
        this.#wake();
        while (this.#size >= this.#limit) await this.#pause();
      }
    } catch (cause) {
      this.#failure = { cause };
    }
    this.#over = true;
    this.#wake();
  }

  /** Never both sides at once: one waits for something to be there, the other for room. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function joined(pieces: readonly Bytes[], size: number): Bytes {
  const [only] = pieces;
  if (pieces.length === 1 && only) return only;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
