/** Small pieces that every file of this folder needs: kinds, bounds, and how a bad pack is refused. */
import { Refusal } from "#durable/format/refusal.ts";

export type Bytes = Uint8Array<ArrayBuffer>;
export type Kind = "commit" | "tree" | "blob" | "tag";
export type ObjectFormat = "sha1" | "sha256";

export const idLengthOf = (format: ObjectFormat): number => (format === "sha1" ? 20 : 32);

export const broken = (why: string, cause?: unknown): Refusal =>
  new Refusal("malformed", `The pack cannot be read: ${why}.`, cause === undefined ? {} : { cause });

export const excessive = (why: string): Refusal => new Refusal("too_large", `The pack is too much: ${why}.`);

/** Lower-case hex of an object id. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += DIGITS[byte];
  return text;
}

const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
