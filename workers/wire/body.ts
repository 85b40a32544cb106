/** A request body of which a bounded prefix may have been read. */

export type Body =
  | { readonly kind: "none" }
  /** All of it: it ended within what was read. */
  | { readonly kind: "whole"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** `prefix`, then `rest`. `length` is the whole length when the sender gave one. */
  | {
      readonly kind: "stream";
      readonly prefix: Uint8Array<ArrayBuffer>;
      readonly rest: ReadableStream<Uint8Array>;
      readonly length: number | undefined;
    };

/**
 * Reads a body until `enough` says so, the body ends, or `limit` bytes are held. `enough` sees all bytes so far.
 * Returns a body that still yields every byte. Owns the stream: nobody else may read `request.body` afterwards.
 */
export async function peek(
  request: Request,
  limit: number,
  enough: (bytes: Uint8Array) => boolean,
): Promise<Body> {
  const { body } = request;
  if (!body) return { kind: "none" };
  const length = declaredLength(request.headers);
  let held = new Uint8Array(Math.min(limit, length ?? 16 * 1024) || 1);
  let size = 0;
  const reader = body.getReader();
  while (size < limit) {
    const { value, done } = await reader.read();
    if (done) {
      reader.releaseLock();
      return { kind: "whole", bytes: held.subarray(0, size) };
    }
    if (size + value.byteLength > held.byteLength) {
      const grown = new Uint8Array(Math.max(held.byteLength * 2, size + value.byteLength));
      grown.set(held.subarray(0, size));
      held = grown;
    }
    held.set(value, size);
    size += value.byteLength;
    if (length !== undefined && size >= length) continue;
    if (enough(held.subarray(0, size))) break;
  }
  reader.releaseLock();
  return { kind: "stream", prefix: held.subarray(0, size), rest: body, length };
}

function declaredLength(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
