/**
 * Between isolates a stream that broke off looks like one that ended. So its sender puts a mark behind the last byte,
 * which nobody outside can know, and its reader believes no end without it.
 */
import { createHash } from "node:crypto";

export const MARK_LENGTH = 32;

/** The mark of the stream that goes with a clearance. */
export function endMark(clearance: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update("end of the body of ").update(clearance).digest());
}

export class MarkedStream {
  readonly #mark: Uint8Array;
  #held = new Uint8Array(0);

  constructor(mark: Uint8Array) {
    this.#mark = mark;
  }

  /** Takes the next bytes and returns those, of all that came, which cannot be the mark's: as a rule every one of them. */
  pass(bytes: Uint8Array): Uint8Array {
    const all = new Uint8Array(this.#held.byteLength + bytes.byteLength);
    all.set(this.#held);
    all.set(bytes, this.#held.byteLength);
    const end = all.byteLength - this.#begun(all);
    this.#held = all.slice(end);
    return all.subarray(0, end);
  }

  /** How many bytes at the end may be the beginning of the mark. */
  #begun(all: Uint8Array): number {
    let length = Math.min(all.byteLength, this.#mark.byteLength);
    while (length > 0 && !endsWith(all, this.#mark.subarray(0, length))) length -= 1;
    return length;
  }

  /** Whether what was held back at the end is the mark: then everything has come. */
  whole(): boolean {
    const { byteLength } = this.#mark;
    return this.#held.byteLength === byteLength && this.#held.every((byte, i) => byte === this.#mark[i]);
  }
}

function endsWith(bytes: Uint8Array, end: Uint8Array): boolean {
  const from = bytes.byteLength - end.byteLength;
  return end.every((byte, i) => bytes[from + i] === byte);
}
