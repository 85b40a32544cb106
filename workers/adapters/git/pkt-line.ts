/** pkt-lines (gitprotocol-common(5)): read from bytes that may still grow, and written. */
import { Refusal, type RefusalCode } from "#durable/format/refusal.ts";

/** The longest pkt-line, its four length digits included. */
export const PACKET_MAX = 65_520;

export type Packet =
  | { readonly kind: "data"; readonly payload: Uint8Array<ArrayBuffer> }
  | { readonly kind: "flush" | "delim" | "response-end" };

export type Band = 1 | 2 | 3;

type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const FLUSH: Bytes = new Uint8Array(encoder.encode("0000"));
export const DELIM: Bytes = new Uint8Array(encoder.encode("0001"));

/** Whether this is a flush and nothing else. */
export const isFlush = (bytes: Uint8Array): boolean =>
  bytes.byteLength === 4 && bytes.every((byte) => byte === 0x30);

const MARKS = ["flush", "delim", "response-end"] as const;

/**
 * The packet at `at` and where it ends, or undefined when `bytes` does not hold all of it yet.
 * Refuses lengths that are not hex, 3, or above 65520, as soon as the four digits are there.
 */
export function readPacket(
  bytes: Bytes,
  at: number,
  code: RefusalCode = "malformed",
): { readonly packet: Packet; readonly end: number } | undefined {
  if (bytes.byteLength - at < 4) return undefined;
  let length = 0;
  for (let i = at; i < at + 4; i++) length = length * 16 + hexDigit(bytes[i], code);
  const mark = MARKS[length];
  if (mark) return { packet: { kind: mark }, end: at + 4 };
  if (length < 4 || length > PACKET_MAX)
    throw new Refusal(code, `A pkt-line of length ${length} is not allowed.`);
  const end = at + length;
  if (end > bytes.byteLength) return undefined;
  return { packet: { kind: "data", payload: bytes.subarray(at + 4, end) }, end };
}

/** Packets of a stream: `feed` it chunks of any size, take `next` until it is undefined. Holds less than one packet and one chunk. */
export class PacketReader {
  readonly #code: RefusalCode;
  #held: Bytes = new Uint8Array(0);
  #at = 0;

  /** `code` is the refusal for bytes that are no pkt-lines: `malformed`, or `upstream_protocol` for a server's. */
  constructor(code: RefusalCode = "malformed") {
    this.#code = code;
  }

  feed(chunk: Uint8Array): void {
    this.#held = concat([this.#held.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  next(): Packet | undefined {
    const read = readPacket(this.#held, this.#at, this.#code);
    if (read) this.#at = read.end;
    return read?.packet;
  }

  /** What was fed and not taken. */
  rest(): Bytes {
    return this.#held.subarray(this.#at);
  }
}

/** The payload as text without its trailing LF, or a refusal when it is not UTF-8 or holds a NUL. */
export function lineOf(payload: Uint8Array, code: RefusalCode = "malformed"): string {
  const line = payload.at(-1) === 10 ? payload.subarray(0, -1) : payload;
  if (line.includes(0)) throw new Refusal(code, "A line holds a NUL byte.");
  return textOf(line, code);
}

/** Strict UTF-8: what cannot be written down exactly is refused, not replaced. */
export function textOf(bytes: Uint8Array, code: RefusalCode = "malformed"): string {
  try {
    return strict.decode(bytes);
  } catch (cause) {
    throw notText(code, cause);
  }
}

/** One data packet. `payload` is at most 65516 bytes. */
export function packet(payload: string | Uint8Array): Bytes {
  const body = typeof payload === "string" ? encoder.encode(payload) : payload;
  if (body.byteLength + 4 > PACKET_MAX) throw new RangeError("pkt-line payload is too long");
  const length = (body.byteLength + 4).toString(16).padStart(4, "0");
  return concat([encoder.encode(length), body]);
}

/** `bytes` on a band of side-band-64k, in as many packets as it takes. */
export function sideband(band: Band, bytes: Uint8Array): Bytes {
  const most = PACKET_MAX - 5;
  const packets: Bytes[] = [];
  for (let at = 0; at < bytes.byteLength; at += most) {
    packets.push(packet(concat([Uint8Array.of(band), bytes.subarray(at, at + most)])));
  }
  return concat(packets);
}

export function concat(parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

const notText = (code: RefusalCode, cause: unknown) => new Refusal(code, "A line is not UTF-8.", { cause });

function hexDigit(byte: number | undefined, code: RefusalCode): number {
  const digit = byte === undefined ? Number.NaN : Number.parseInt(String.fromCharCode(byte), 16);
  if (Number.isNaN(digit)) throw new Refusal(code, "A pkt-line does not begin with four hex digits.");
  return digit;
}
