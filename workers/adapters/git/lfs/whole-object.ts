/** An upload on its way out, for egress: it never looks whole to its receiver unless it is the object of its name. */
import { createHash } from "node:crypto";
import type { LfsObject } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export class WholeObject {
  readonly #object: LfsObject;
  readonly #hash = createHash("sha256");
  #size = 0;
  /** The last byte that came, once any has. */
  #last: Bytes = new Uint8Array(0);

  constructor(object: LfsObject) {
    this.#object = object;
  }

  /** What may leave now that these bytes have come: all but the last. Throws `Refusal("malformed")` when they are too many. */
  pass(bytes: Uint8Array): Bytes {
    if (bytes.byteLength === 0) return new Uint8Array(0);
    this.#size += bytes.byteLength;
    if (this.#size > this.#object.size) throw otherContent();
    this.#hash.update(bytes);
    const now = new Uint8Array(this.#last.byteLength + bytes.byteLength - 1);
    now.set(this.#last);
    now.set(bytes.subarray(0, -1), this.#last.byteLength);
    this.#last = bytes.slice(-1) as Bytes;
    return now;
  }

  /** The last byte, when all that came is the object. Throws `Refusal("malformed")`. */
  last(): Bytes {
    if (this.#size !== this.#object.size || this.#hash.digest("hex") !== this.#object.oid)
      throw otherContent();
    return this.#last;
  }
}

export const otherContent = () =>
  new Refusal("malformed", "The object's content is not what its oid and size say: it was not stored.");
