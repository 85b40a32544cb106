/** Reads a byte stream into one buffer, over and over: a fresh one for each read was most of what a transfer cost. */

/** What sockets and pipes give at once is less; measured, larger buffers gain nothing. */
const ROOM = 256 * 1024;

/** `within` bounds how long a read may take; it gets each read, and answers or rejects for it. */
export function pieces(
  reader: ReadableStreamBYOBReader,
  within: <T>(read: Promise<T>) => Promise<T>,
): () => Promise<Uint8Array | undefined> {
  let room: ArrayBufferLike = new ArrayBuffer(ROOM);
  /** The next piece, good until the one after it is asked for; undefined at the end. */
  return async () => {
    const { value, done } = await within(reader.read(new Uint8Array(room as ArrayBuffer)));
    if (value) room = value.buffer;
    return done ? undefined : value;
  };
}
