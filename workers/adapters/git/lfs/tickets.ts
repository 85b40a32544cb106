/**
 * Where an object is and what its server wants for it, in a form only egress can read: it goes to the agent within a
 * batch's answer, and comes back with the request for the object.
 */
import { Buffer } from "node:buffer";
import type { Header } from "#durable/format/frame.ts";
import { Refusal } from "#durable/format/refusal.ts";

export type Ticket = {
  readonly url: string;
  /** What the LFS server gave for this one request; may hold tokens. */
  readonly headers: readonly Header[];
};

const NONCE = 12;

export class Tickets {
  readonly #key: Uint8Array<ArrayBuffer>;
  readonly #random: (length: number) => Uint8Array<ArrayBuffer>;

  /** `key` is 32 bytes that nobody else has; a ticket is good for as long as they are kept. */
  constructor(key: Uint8Array<ArrayBuffer>, random: (length: number) => Uint8Array<ArrayBuffer>) {
    this.#key = key;
    this.#random = random;
  }

  /** AES-256-GCM, bound to `place`: the request it is good for. base64url(nonce, ciphertext, tag). */
  async seal({ url, headers }: Ticket, place: string): Promise<string> {
    const iv = this.#random(NONCE);
    const text = Buffer.from(JSON.stringify([url, headers]));
    const sealed = await crypto.subtle.encrypt(how(iv, place), await this.#imported(), text);
    return Buffer.concat([iv, new Uint8Array(sealed)]).toString("base64url");
  }

  /** Throws `Refusal("denied")` for a ticket that is for another request, or from before egress was started. */
  async open(ticket: string, place: string): Promise<Ticket> {
    const bytes = new Uint8Array(Buffer.from(ticket, "base64url"));
    try {
      const iv = bytes.slice(0, NONCE);
      const opened = await crypto.subtle.decrypt(how(iv, place), await this.#imported(), bytes.slice(NONCE));
      const [url, headers] = JSON.parse(Buffer.from(opened).toString()) as [string, readonly Header[]];
      return { url, headers };
    } catch (cause) {
      throw invalid(cause);
    }
  }

  #imported(): Promise<CryptoKey> {
    return crypto.subtle.importKey("raw", this.#key, "AES-GCM", false, ["encrypt", "decrypt"]);
  }
}

const how = (iv: Uint8Array<ArrayBuffer>, place: string) => ({
  name: "AES-GCM",
  iv,
  additionalData: Buffer.from(place),
});

const invalid = (cause: unknown) =>
  new Refusal("denied", "The object's address is no longer good: ask the batch API again.", { cause });
