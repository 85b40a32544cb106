/** DER (X.690): one value, read so that no byte of it is free. Low tags and definite lengths only, as all of ours have. */
import { type Bytes, concat, toHex } from "../bytes.ts";

export const [INTEGER, OCTETS, OID, SEQUENCE, SET] = [0x02, 0x04, 0x06, 0x30, 0x31] as const;
export const [BOOLEAN, BITS, NULL, UTF8, UTC_TIME, TIME] = [0x01, 0x03, 0x05, 0x0c, 0x17, 0x18] as const;
/** The context tag [n] of a constructed value. */
export const context = (n: number): number => 0xa0 | n;

export type Der = { readonly tag: number; readonly content: Bytes; readonly whole: Bytes };

/** What bytes that are not the value they should be are thrown as, inside this folder. */
export class Malformed extends Error {
  override readonly name = "Malformed";
}

export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = concat(parts);
  const { byteLength: length } = content;
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  if (length > 0xffff) throw new RangeError(`a DER value of ${length} bytes`);
  return concat([new Uint8Array([tag, ...header]), content]);
}

/** The value that the bytes are, from the first to the last. Throws Malformed. */
export function readDer(bytes: Bytes): Der {
  const [value, ...more] = valuesOf(bytes);
  if (!value || more.length > 0) throw new Malformed("not one DER value");
  return value;
}

/** What a constructed value is made of. Throws Malformed. */
export const partsOf = ({ content }: Der): Der[] => valuesOf(content);

function valuesOf(bytes: Bytes): Der[] {
  const values: Der[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const [tag = 0, first] = bytes.subarray(at);
    if ((tag & 0x1f) === 0x1f || first === undefined) throw new Malformed("not DER: its tag");
    const octets = first < 0x80 ? 0 : first & 0x7f;
    let length = first;
    if (octets > 0 || first === 0x80) {
      const said = bytes.subarray(at + 2, at + 2 + octets);
      length = said.reduce((sum, byte) => sum * 256 + byte, 0);
      const least = octets === 1 ? 0x80 : 256 ** (octets - 1);
      if (octets < 1 || octets > 4 || said.byteLength !== octets || length < least)
        throw new Malformed("not DER: its length");
    }
    const from = at + 2 + octets;
    const end = from + length;
    if (end > bytes.byteLength) throw new Malformed("not DER: it breaks off");
    values.push({ tag, content: bytes.slice(from, end), whole: bytes.slice(at, end) });
    at = end;
  }
  return values;
}

/** The value, when it has the tag. Throws Malformed. */
export function expectTag(value: Der | undefined, tag: number, what: string): Der {
  if (value?.tag !== tag) throw new Malformed(`no ${what}`);
  return value;
}

/** Dotted. Throws Malformed. */
export function oidOf(value: Der | undefined): string {
  const { content } = expectTag(value, OID, "object identifier");
  const arcs: number[] = [];
  let arc = 0;
  let begun = false;
  for (const byte of content) {
    if ((!begun && byte === 0x80) || arc > 2 ** 40) throw new Malformed("not an object identifier");
    arc = arc * 128 + (byte & 0x7f);
    begun = (byte & 0x80) !== 0;
    if (begun) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [first] = arcs;
  if (first === undefined || begun) throw new Malformed("not an object identifier");
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - top * 40, ...arcs.slice(1)].join(".");
}

/** The octets of an INTEGER, two's complement, as short as can be. Throws Malformed. */
export function integerOf(value: Der | undefined, what: string): Bytes {
  const { content } = expectTag(value, INTEGER, what);
  const [first, second = 0] = content;
  const spare =
    content.byteLength > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
  if (first === undefined || spare) throw new Malformed(`no ${what}`);
  return content;
}

/** A small number that is not negative. Throws Malformed. */
export function smallOf(value: Der | undefined, what: string): number {
  const octets = integerOf(value, what);
  if (octets.byteLength > 4 || (octets[0] ?? 0) >= 0x80)
    throw new Malformed(`${what}: ${toHex(octets).slice(0, 40)}`);
  return octets.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Milliseconds since 1970, of a UTCTime (RFC 5280) or GeneralizedTime in UTC. Throws Malformed. */
export function timeOf(value: Der | undefined, what: string): number {
  const text = String.fromCharCode(...(value?.content.subarray(0, 40) ?? []));
  const short = value?.tag === UTC_TIME;
  if (!short && value?.tag !== TIME) throw new Malformed(`no ${what}`);
  const full = short ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const [, year, month, day, hour, minute, second, fraction = ""] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d*[1-9])?Z$/.exec(full) ?? [];
  const date = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const at = year === undefined ? Number.NaN : Date.parse(`${date}Z`);
  if (Number.isNaN(at) || new Date(at).toJSON().slice(0, 19) !== date || (short && fraction !== ""))
    throw new Malformed(`${what}: ${JSON.stringify(text)}`);
  return at + Math.floor(Number(`0${fraction}`) * 1000);
}
