/** Bytes on their way out. */
export class Out {
  #parts: Uint8Array[] = [];
  /** The part that is being written: what follows it in memory is written to its end. */
  #buffer: ArrayBufferLike | undefined;
  #from = 0;
  #to = 0;
  /** Bytes written so far, taken or not. */
  length = 0;

  write(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    const { buffer, byteOffset } = bytes;
    if (this.#buffer !== buffer || this.#to !== byteOffset) {
      this.#close();
      this.#buffer = buffer;
      this.#from = this.#to = byteOffset;
    }
    this.#to += bytes.byteLength;
    this.length += bytes.byteLength;
  }

  /** What was written since this was asked last. */
  take(): Uint8Array<ArrayBuffer> {
    this.#close();
    const whole = concat(this.#parts);
    this.#parts = [];
    return whole;
  }

  #close(): void {
    if (this.#buffer) this.#parts.push(new Uint8Array(this.#buffer, this.#from, this.#to - this.#from));
    this.#buffer = undefined;
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const { byteLength } of parts) size += byteLength;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

const encoder = new TextEncoder();
export const encode = (text: string): Uint8Array => encoder.encode(text);
