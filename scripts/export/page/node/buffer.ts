/** What the verifier asks of `node:buffer`, in a browser. Base64 and hex are read leniently there too: callers compare. */
type Encoding = "hex" | "base64" | "latin1";

/** `btoa` takes a string: this many bytes at once, so that the arguments of one call do not exhaust the stack. */
const STRIDE = 32_768;

class View extends Uint8Array<ArrayBuffer> {
  override toString(encoding?: Encoding): string {
    if (encoding === "hex") return Array.from(this, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (encoding === "base64") return btoa(latin1(this));
    return latin1(this);
  }

  equals(other: Uint8Array): boolean {
    return this.byteLength === other.byteLength && this.every((byte, i) => byte === other[i]);
  }
}

type From = {
  (text: string, encoding: Encoding): View;
  (bytes: ArrayBuffer | ArrayLike<number>, offset?: number, length?: number): View;
};

const from: From = (
  value: string | ArrayBuffer | ArrayLike<number>,
  how?: Encoding | number,
  length?: number,
): View => {
  if (typeof value === "string") return fromText(value, how as Encoding);
  if (value instanceof ArrayBuffer) return new View(value, how as number | undefined, length);
  const copy = new View(new ArrayBuffer(value.length));
  copy.set(value);
  return copy;
};

const byteLength = (text: string): number => new TextEncoder().encode(text).byteLength;

export const Buffer = { from, byteLength } as const;
export type Buffer = View;

function fromText(text: string, encoding: Encoding): View {
  if (encoding === "hex") {
    const pairs = text.match(/[0-9a-fA-F]{2}/g) ?? [];
    return from(pairs.map((pair) => Number.parseInt(pair, 16)));
  }
  const letters = encoding === "latin1" ? text : decodeBase64(text);
  const bytes = new View(new ArrayBuffer(letters.length));
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

function decodeBase64(text: string): string {
  try {
    return atob(text);
  } catch {
    // No base64 is an answer: whoever asks compares with what these bytes are written as.
    return "";
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.byteLength; at += STRIDE)
    text += String.fromCharCode(...bytes.subarray(at, at + STRIDE));
  return text;
}
