/** Session keys in a bucket of their own, without versions and without Object Lock. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { sessionKey } from "#durable/format/layout.ts";
import { equal } from "#durable/proof/bytes.ts";
import { collect, within } from "../deadline.ts";
import { type Marker, S3Bucket, type S3Place } from "../s3-bucket.ts";
import type { KeyStore } from "./key-store.ts";

export type S3KeysOptions = S3Place & {
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  /** For one whole call (of a listing: for one page), read-back included. */
  readonly timeoutMs: number;
};

/**
 * Needs s3:PutObject, GetObject, GetObjectVersion, DeleteObject, DeleteObjectVersion, ListBucket and ListBucketVersions;
 * `steno check` also GetBucketVersioning and GetBucketObjectLockConfiguration.
 */
export class S3Keys implements KeyStore {
  readonly #bucket: S3Bucket;
  readonly #prefix: string;
  readonly #timeoutMs: number;

  constructor(options: S3KeysOptions) {
    this.#bucket = new S3Bucket(options);
    this.#prefix = options.prefix;
    this.#timeoutMs = options.timeoutMs;
  }

  async put(session: SessionId, key: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#call("put", session, async (name, signal) => {
      await this.#bucket.write(name, key, signal);
      const found = await this.#newest(name, signal);
      if (!found || !equal(found, key)) throw new Error("the store holds other bytes than were sent");
    });
  }

  async get(session: SessionId): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return await this.#call("get", session, (name, signal) => this.#newest(name, signal));
  }

  async remove(session: SessionId): Promise<void> {
    await this.#call("remove", session, async (name, signal) => {
      for (const id of await this.#bucket.traces(name, signal)) await this.#bucket.remove(name, id, signal);
      const left = await this.#bucket.traces(name, signal);
      if (left.length > 0) throw new Error(`the store still has ${left.length} versions of it`);
    });
  }

  async *list(): AsyncGenerator<SessionId, void, undefined> {
    const whole = `${this.#prefix}keys/`;
    let marker: Marker | undefined;
    do {
      const from = marker;
      const what = `list ${whole}`;
      const page = await within(this.#timeoutMs, what, (signal) => this.#bucket.page(whole, from, signal));
      for (const name of page.keys) {
        const session = sessionOf(name.slice(this.#prefix.length));
        if (session) yield session;
      }
      marker = page.next;
    } while (marker);
  }

  /** What makes the bucket unfit: a key deleted from it could come back, or could not be deleted at all. */
  async unfit(): Promise<readonly string[]> {
    return await within(this.#timeoutMs, "look at the bucket", async (signal) => {
      const versions = await this.#bucket.keepsVersions(signal);
      const locks = await this.#bucket.locks(signal);
      return [
        ...(versions ? ["keeps versions, so a key that was deleted could be brought back"] : []),
        ...(locks ? ["has Object Lock, so a key might not be deleted"] : []),
      ];
    });
  }

  async #newest(name: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const version = await this.#bucket.last(name, signal);
    if (version === undefined) return undefined;
    const { stat, body } = await this.#bucket.read(name, version, signal);
    return await collect(body, stat.bytes, signal);
  }

  #call<T>(
    verb: string,
    session: SessionId,
    work: (name: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const name = this.#prefix + sessionKey(session);
    return within(this.#timeoutMs, `${verb} ${name}`, (signal) => work(name, signal));
  }
}

/** The session whose key lies under this name, when it is the name of one. */
export function sessionOf(name: string): SessionId | undefined {
  const parsed = v.safeParse(SessionId, /^keys\/(.+)\.key\.age$/.exec(name)?.[1]);
  return parsed.success ? parsed.output : undefined;
}
