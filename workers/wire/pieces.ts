/** Reads a byte stream into one buffer, over and over: a fresh one for each read was most of what a transfer cost. */

/** Most bodies are short, and a buffer costs what it is long. */
const FIRST = 16 * 1024;
/** What sockets and pipes give at once is less; measured, larger buffers gain nothing. */
const MOST = 256 * 1024;

/** `within` bounds how long a read may take; it gets each read, and answers or rejects for it. `first` is the first buffer's length. */
export function pieces(
  reader: ReadableStreamBYOBReader,
  within: <T>(read: Promise<T>) => Promise<T>,
  first = FIRST,
): () => Promise<Uint8Array | undefined> {
  let length = first;
  let room: ArrayBufferLike = new ArrayBuffer(length);
  /** The next piece, good until the one after it is asked for; undefined at the end. */
  return async () => {
    const { value, done } = await within(reader.read(new Uint8Array(room as ArrayBuffer)));
    if (value) {
      // One that was filled is followed by more, mostly.
      const full = value.byteLength === length && length < MOST;
      length = full ? Math.min(length * 4, MOST) : length;
      room = full ? new ArrayBuffer(length) : value.buffer;
    }
    return done ? undefined : value;
  };
}
