/** Hex, base64 and UTF-8 over byte arrays. Decoders are strict: one text for one value. */
import { Buffer } from "node:buffer";

export { sha256 } from "./native.ts";
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const utf8 = (text: string): Bytes => encoder.encode(text) as Bytes;

/** How many bytes of UTF-8 a text is. */
export const utf8Length = (text: string): number => Buffer.byteLength(text, "utf8");

/** Index of the first `byte` at or after `from`; -1 when there is none. */
export const indexOfByte = (bytes: Uint8Array, byte: number, from: number): number =>
  view(bytes).indexOf(byte, from);

/** The text of UTF-8 bytes, or undefined when they are not UTF-8. A byte order mark is a character like any other. */
export function readUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    // Not UTF-8 is an answer here, not a failure: the caller says what it means.
    return undefined;
  }
}

export const toHex = (bytes: Uint8Array): string => view(bytes).toString("hex");
export const toBase64 = (bytes: Uint8Array): string => view(bytes).toString("base64");

/** Lower-case hex only; undefined for anything else. */
export function fromHex(text: string): Bytes | undefined {
  return /^(?:[0-9a-f]{2})*$/.test(text) ? new Uint8Array(Buffer.from(text, "hex")) : undefined;
}

/** Padded standard base64 whose spare bits are zero; undefined for anything else. */
export function fromBase64(text: string): Bytes | undefined {
  const bytes = new Uint8Array(Buffer.from(text, "base64"));
  return toBase64(bytes) === text ? bytes : undefined;
}

export function concat(parts: readonly Uint8Array[]): Bytes {
  let size = 0;
  for (const part of parts) size += part.byteLength;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** Not constant time: everything compared here is public. */
export const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.byteLength === b.byteLength && view(a).equals(view(b));

const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
