/** Session keys in a plain directory: a client of the endpoint that `steno serve` runs on a unix socket for it. */
import { createHash } from "node:crypto";
import type { SessionId } from "#durable/format/ids.ts";
import { sessionKey } from "#durable/format/layout.ts";
import { equal } from "#durable/proof/bytes.ts";
import { ArchiveFault } from "../archive.ts";
import { within } from "../deadline.ts";
import type { KeyStore } from "./key-store.ts";
import { sessionOf } from "./s3-keys.ts";

export type DirectoryKeysOptions = {
  /** Reaches the endpoint, whatever host the URL names. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** For one whole call. */
  readonly timeoutMs: number;
};

const BASE = "http://keys/keys";

export class DirectoryKeys implements KeyStore {
  readonly #options: DirectoryKeysOptions;

  constructor(options: DirectoryKeysOptions) {
    this.#options = options;
  }

  async put(session: SessionId, key: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#call("put", session, async (url, signal) => {
      const digest = `sha-256=:${createHash("sha256").update(key).digest("base64")}:`;
      const headers = { "repr-digest": digest };
      await this.#asked(url, { method: "PUT", body: key, headers, signal });
      const found = await this.#read(url, signal);
      if (!found || !equal(found, key)) throw new Error("the directory holds other bytes than were sent");
    });
  }

  async get(session: SessionId): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return await this.#call("get", session, (url, signal) => this.#read(url, signal));
  }

  async remove(session: SessionId): Promise<void> {
    await this.#call("remove", session, async (url, signal) => {
      await this.#asked(url, { method: "DELETE", signal });
      if (await this.#read(url, signal)) throw new Error("the directory still has it");
    });
  }

  async *list(): AsyncGenerator<SessionId, void, undefined> {
    const { timeoutMs } = this.#options;
    const listing = await within(timeoutMs, "list keys/", async (signal) => {
      const bytes = await this.#asked(`${BASE}?prefix=keys%2F`, { method: "GET", signal });
      return new TextDecoder().decode(bytes);
    });
    for (const line of listing.split("\n")) {
      const session = line === "" ? undefined : sessionOf(String(JSON.parse(line)));
      if (session) yield session;
    }
  }

  async #read(url: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const reply = await this.#options.fetch(url, { method: "GET", signal });
    const bytes = new Uint8Array(await reply.arrayBuffer());
    if (reply.status === 404) return undefined;
    if (!reply.ok) throw new ArchiveFault(`${url}: ${reply.status}`);
    return bytes;
  }

  async #asked(url: string, init: RequestInit): Promise<Uint8Array<ArrayBuffer>> {
    const reply = await this.#options.fetch(url, init);
    const bytes = new Uint8Array(await reply.arrayBuffer());
    if (reply.ok) return bytes;
    throw new ArchiveFault(`${url}: ${reply.status} ${new TextDecoder().decode(bytes).trim()}`);
  }

  #call<T>(
    verb: string,
    session: SessionId,
    work: (url: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const key = sessionKey(session);
    return within(this.#options.timeoutMs, `${verb} ${key}`, (signal) => work(`${BASE}/${key}`, signal));
  }
}
