/**
 * The archive in a plain directory, for the quick start and for tests: a client of the endpoint that `steno serve` runs
 * on a unix socket (`scripts/archive/directory-endpoint.ts`). **It is not WORM.** It never overwrites or deletes, but
 * whoever owns the directory can; nothing is retained, and `retention.mode` says "none".
 */
import { createHash } from "node:crypto";
import { type Archive, ArchiveConflict, ArchiveFault, type Stat, type Stored } from "./archive.ts";
import { chunksOf, collect, within } from "./deadline.ts";
import { requireKey, requireKeyOf, requirePrefix } from "./key.ts";

export type DirectoryArchiveOptions = {
  /** Reaches the endpoint, whatever host the URL names. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** What heads say was meant; nothing enforces it. */
  readonly retentionDays: number;
  /** For one whole call; 30 s when absent. */
  readonly timeoutMs?: number;
};

const BASE = "http://archive/keys";

export function directoryArchive(options: DirectoryArchiveOptions): Archive {
  return new DirectoryArchive(options);
}

class DirectoryArchive implements Archive {
  readonly retention: Archive["retention"];
  readonly #fetch: DirectoryArchiveOptions["fetch"];
  readonly #timeoutMs: number;

  constructor(options: DirectoryArchiveOptions) {
    this.retention = { mode: "none", days: options.retentionDays };
    this.#fetch = options.fetch;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
  }

  async put(
    key: string,
    bytes: Uint8Array<ArrayBuffer>,
    _options: { readonly locked: boolean },
  ): Promise<Stored> {
    requireKeyOf("put", key);
    return await this.#send("put", key, bytes);
  }

  async replace(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<Stored> {
    requireKeyOf("replace", key);
    return await this.#send("replace", key, bytes);
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    requireKey(key);
    return await within(this.#timeoutMs, `get ${key}`, async (signal) => {
      const reply = await this.#fetch(`${BASE}/${key}`, { method: "GET", signal });
      if (reply.status === 404) return await absent(reply);
      if (!reply.ok || !reply.body)
        throw new ArchiveFault(`get ${key}: ${reply.status} ${await reasonOf(reply)}`);
      const { bytes: length, digest } = headOf(reply);
      const bytes = await collect(reply.body, length, signal);
      if (reprDigest(createHash("sha256").update(bytes).digest()) !== digest) {
        throw new ArchiveFault(`get ${key}: the bytes are not those of their digest`);
      }
      return bytes;
    });
  }

  async stat(key: string): Promise<Stat | undefined> {
    requireKey(key);
    return await within(this.#timeoutMs, `stat ${key}`, async (signal) => {
      const head = await this.#head(key, signal);
      return head && { bytes: head.bytes };
    });
  }

  async *list(prefix: string): AsyncGenerator<string, void, undefined> {
    requirePrefix(prefix);
    yield* await within(this.#timeoutMs, `list ${prefix}`, async (signal) => {
      const reply = await this.#fetch(`${BASE}?prefix=${encodeURIComponent(prefix)}`, {
        method: "GET",
        signal,
      });
      if (!reply.ok || !reply.body)
        throw new ArchiveFault(`list ${prefix}: ${reply.status} ${await reasonOf(reply)}`);
      let text = "";
      const decoder = new TextDecoder();
      for await (const chunk of chunksOf(reply.body, signal)) text += decoder.decode(chunk, { stream: true });
      const keys = text.split("\n");
      if (keys.pop() !== "") throw new ArchiveFault(`list ${prefix}: the listing was cut off`);
      return keys.map((line) => String(JSON.parse(line)));
    });
  }

  async #send(verb: string, key: string, bytes: Uint8Array<ArrayBuffer>): Promise<Stored> {
    const digest = createHash("sha256").update(bytes).digest();
    return await within(this.#timeoutMs, `${verb} ${key}`, async (signal) => {
      const headers = { "repr-digest": reprDigest(digest) };
      const reply = await this.#fetch(`${BASE}/${key}`, { method: "PUT", body: bytes, headers, signal });
      const reason = await reasonOf(reply);
      if (reply.status === 409) throw new ArchiveConflict(reason);
      if (!reply.ok) throw new ArchiveFault(`${verb} ${key}: ${reply.status} ${reason}`);
      const kept = await this.#head(key, signal);
      if (kept?.bytes !== bytes.length || kept.digest !== headers["repr-digest"]) {
        throw new ArchiveFault(`${verb} ${key}: the directory holds other bytes than were sent`);
      }
      return { key, bytes: bytes.length, sha256: digest.toString("hex") };
    });
  }

  async #head(key: string, signal: AbortSignal): Promise<{ bytes: number; digest: string } | undefined> {
    const reply = await this.#fetch(`${BASE}/${key}`, { method: "HEAD", signal });
    if (reply.status === 404) return undefined;
    if (!reply.ok) throw new ArchiveFault(`stat ${key}: ${reply.status}`);
    return headOf(reply);
  }
}

/** RFC 9530. */
const reprDigest = (sha256: Buffer): string => `sha-256=:${sha256.toString("base64")}:`;

function headOf(reply: Response): { bytes: number; digest: string } {
  const length = reply.headers.get("content-length");
  const digest = reply.headers.get("repr-digest");
  if (length === null || digest === null)
    throw new Error("an answer without its length or without its digest");
  return { bytes: Number(length), digest };
}

const reasonOf = async (reply: Response): Promise<string> => (await reply.text()).trim();

/** Reads the answer's text so that its connection can be used again. */
async function absent(reply: Response): Promise<undefined> {
  await reply.text();
  return undefined;
}
