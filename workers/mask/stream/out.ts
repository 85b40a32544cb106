/** Bytes on their way out. */
export class Out {
  #parts: Uint8Array[] = [];
  /** Bytes written so far, taken or not. */
  length = 0;

  write(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#parts.push(bytes);
    this.length += bytes.byteLength;
  }

  /** What was written since this was asked last. */
  take(): Uint8Array<ArrayBuffer> {
    const whole = concat(this.#parts);
    this.#parts = [];
    return whole;
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

const encoder = new TextEncoder();
export const encode = (text: string): Uint8Array => encoder.encode(text);
