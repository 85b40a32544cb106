/** Hides what rules find in a body on its way: bytes in, bytes out, and what was hidden. */
import type { Mask } from "#durable/format/mask/finding.ts";
import type { Rules } from "../pattern/scan.ts";
import { Hiding } from "./hiding.ts";
import { Out } from "./out.ts";

export interface Masker {
  /** The next bytes; returns what of all that came can leave. What goes in is not kept. */
  push(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
  /** The rest. */
  end(): Uint8Array<ArrayBuffer>;
  /** What was hidden since this was asked last; offsets are in what came out. */
  masks(): Mask[];
}

/** Text of any kind, byte for byte. */
export class TextMasker implements Masker {
  readonly #out = new Out();
  readonly #masks: Mask[] = [];
  readonly #hiding: Hiding;

  constructor(rules: Rules) {
    this.#hiding = new Hiding(rules, this.#out, this.#masks);
  }

  push(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#hiding.text(bytes);
    this.#hiding.keep();
    return this.#out.take();
  }

  end(): Uint8Array<ArrayBuffer> {
    this.#hiding.end();
    return this.#out.take();
  }

  masks(): Mask[] {
    return this.#masks.splice(0);
  }
}
