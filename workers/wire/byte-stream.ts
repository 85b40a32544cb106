/** A byte stream over something that is asked for the next bytes: pulled only as fast as its reader reads. */

/**
 * `next` resolves to undefined at the end. What it returns is copied, since a byte stream takes buffers away from their
 * owner. Readers may be default or BYOB ones.
 */
export function byteStream(
  next: () => Promise<Uint8Array | undefined>,
  cancel: (reason: unknown) => Promise<void>,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      let bytes = await next();
      while (bytes?.byteLength === 0) bytes = await next();
      if (bytes) return controller.enqueue(new Uint8Array(bytes));
      controller.close();
      // A BYOB read that waits is only answered by this, Streams Standard §4.7.
      (controller.byobRequest as ReadableStreamBYOBRequest | null)?.respond(0);
    },
    cancel,
  });
}
