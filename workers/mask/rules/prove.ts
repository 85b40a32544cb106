/** What makes a candidate more than a shape: checksums and entropy. */
import { crc32 } from "node:zlib";
import type { Proven, Rule } from "../rule.ts";

type Prove = NonNullable<Rule["prove"]>;

const decoder = new TextDecoder("latin1");
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes);

/** All of the candidate, or nothing. */
export const whole =
  (holds: (text: string) => boolean): Prove =>
  (candidate) =>
    holds(textOf(candidate)) ? [{ from: 0, to: candidate.byteLength }] : [];

/** Bits for each character, by how often each occurs (Shannon). */
export function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const char of text) counts.set(char, (counts.get(char) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

/** Looks random, and not like a word, a path, or a name in code. */
export const random = (least: number) => (text: string) => entropy(text) >= least && /\d/.test(text);

/** ISO/IEC 7812-1 Annex B. */
export function luhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    const doubled = i % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

/** ISO 7064 MOD 97-10 over an IBAN without spaces (ISO 13616). */
export function mod97(iban: string): boolean {
  let rest = 0;
  for (const char of iban.slice(4) + iban.slice(0, 4)) {
    const value = Number.parseInt(char, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}

/** ISO 7064 MOD 11,10: the German tax number's. */
export function mod11of10(digits: string): boolean {
  let product = 10;
  for (const char of digits.slice(0, -1)) {
    const sum = (Number(char) + product) % 10 || 10;
    product = (sum * 2) % 11;
  }
  return (11 - product) % 10 === Number(digits.at(-1));
}

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** GitHub's and npm's tokens end in a CRC-32 of what follows the prefix, six digits of base 62. */
export function crcHolds(token: string): boolean {
  const body = token.slice(token.indexOf("_") + 1, -6);
  let rest = crc32(body);
  let sum = "";
  for (let i = 0; i < 6; i++) {
    sum = `${BASE62[rest % 62]}${sum}`;
    rest = Math.floor(rest / 62);
  }
  return sum === token.slice(-6);
}

/** All of it; a checksum that holds leaves no doubt. */
export const checksummed: Prove = (candidate) => {
  const proof: Proven = { from: 0, to: candidate.byteLength };
  return [crcHolds(textOf(candidate)) ? { ...proof, severity: "critical" } : proof];
};

/** Numbers of `least` to `most` digits in groups, wherever in a run of digits one begins at a group's edge and holds. */
export const numbers =
  (least: number, most: number, holds: (digits: string) => boolean): Prove =>
  (candidate) => {
    const text = textOf(candidate);
    const edges = [...text.matchAll(/\d+/g)].map(
      ({ index, 0: { length } }) => [index, index + length] as const,
    );
    const found: Proven[] = [];
    for (let first = 0; first < edges.length; first++) {
      for (let last = Math.min(edges.length, first + most) - 1; last >= first; last--) {
        const from = edges[first]?.[0] ?? 0;
        const to = edges[last]?.[1] ?? 0;
        const digits = text.slice(from, to).replaceAll(/\D/g, "");
        if (digits.length < least || digits.length > most || !holds(digits)) continue;
        found.push({ from, to });
        first = last;
        break;
      }
    }
    return found;
  };
