/** The archive in an S3 bucket with Object Lock. Runs unchanged in workerd and in Node. */
import { createHash } from "node:crypto";
import { type Archive, ArchiveConflict, ArchiveFault, type Stat, type Stored } from "./archive.ts";
import { chunksOf, collect, within } from "./deadline.ts";
import { isReplaced, requireKey, requireKeyOf, requirePrefix } from "./key.ts";
import { type Marker, S3Bucket, type S3Place } from "./s3-bucket.ts";

export type S3ArchiveOptions = S3Place & {
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  readonly retentionDays: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** For one whole call (of a listing: for one page), repeats and read-back included. */
  readonly timeoutMs: number;
};

const DAY_MS = 86_400_000;
/** Asked for beyond what is promised, so that a repeated put within the hour has nothing to extend. */
const MARGIN_MS = 3_600_000;
/** Attempts to create within one put; each begins with a look at what the key holds. */
const ATTEMPTS = 2;

/**
 * Create-only without trusting `If-None-Match`, which several stores ignore where versions are on, as Object Lock
 * demands (Ceph RGW 16 does): **the first stored version of a key is the object**. A put sends the header, then lists
 * the versions of its key and succeeds only when the first one holds its bytes; of racing writers the one whose
 * version came first wins, and the others get `ArchiveConflict`. `get`, `stat` and `list` read the first version as
 * well, so neither a later version nor a delete marker replaces or hides an object; only the end of its retention
 * lets a store drop it. A loser's version stays in the bucket, locked like any other, and is never read; tools that
 * read a key without a version id see the newest one, so the seal's digests are what settles it.
 *
 * The keys that are replaced (`key.ts`) are the other way round: their newest version is the object.
 *
 * In a bucket without versions all this rests on the store honouring `If-None-Match`.
 * Needs s3:PutObjectLegalHold for legal holds, and s3:PutObject, GetObjectVersion, ListBucketVersions, PutObjectRetention, GetObjectRetention.
 */
export function s3Archive(options: S3ArchiveOptions): Archive {
  return new S3Archive(options);
}

type Promised = {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly until: number;
};

class S3Archive implements Archive {
  readonly retention: Archive["retention"];
  readonly #options: S3ArchiveOptions;
  readonly #bucket: S3Bucket;

  constructor(options: S3ArchiveOptions) {
    this.retention = { mode: "COMPLIANCE", days: options.retentionDays };
    this.#options = options;
    this.#bucket = new S3Bucket(options);
  }

  async put(
    key: string,
    bytes: Uint8Array<ArrayBuffer>,
    options: { readonly locked: boolean },
  ): Promise<Stored> {
    requireKeyOf("put", key);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const until = options.locked ? this.#options.now() + this.#options.retentionDays * DAY_MS : 0;
    const promised = { key, bytes: bytes.length, sha256, until };
    return await this.#call("put", key, async (signal) => {
      const name = this.#options.prefix + key;
      let made: string | undefined;
      let cause: unknown;
      for (let attempt = 0; ; attempt++) {
        const first = await this.#bucket.first(name, signal);
        if (first !== undefined) return await this.#confirm(promised, first, first === made, signal);
        if (attempt === ATTEMPTS) break;
        try {
          made = await this.#bucket.create(name, bytes, askedUntil(until), signal);
        } catch (error) {
          // Kept or not, nobody knows: the next look says. Refusals (409, 412) end there too.
          if (signal.aborted) throw error;
          cause = error;
        }
      }
      if (cause === undefined) throw new Error("the store took it and does not list it");
      throw cause;
    });
  }

  async replace(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<Stored> {
    requireKeyOf("replace", key);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return await this.#call("replace", key, async (signal) => {
      const name = this.#options.prefix + key;
      await this.#bucket.write(name, bytes, signal);
      const last = await this.#bucket.last(name, signal);
      if (last === undefined) throw new Error("the store took it and does not list it");
      return await this.#confirm({ key, bytes: bytes.length, sha256, until: 0 }, last, true, signal);
    });
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    requireKey(key);
    return await this.#call("get", key, async (signal) => {
      const name = this.#options.prefix + key;
      const version = await this.#bucket[isReplaced(key) ? "last" : "first"](name, signal);
      if (version === undefined) return undefined;
      const { stat, body } = await this.#bucket.read(name, version, signal);
      return await collect(body, stat.bytes, signal);
    });
  }

  async stat(key: string): Promise<Stat | undefined> {
    requireKey(key);
    return await this.#call("stat", key, async (signal) => {
      const name = this.#options.prefix + key;
      if (isReplaced(key)) {
        const last = await this.#bucket.last(name, signal);
        return last === undefined ? undefined : await this.#bucket.stat(name, last, signal);
      }
      const { first, covered } = await this.#bucket.history(name, signal);
      if (first === undefined) return undefined;
      return { ...(await this.#bucket.stat(name, first, signal)), ...(covered && { covered }) };
    });
  }

  readonly legalHold = async (key: string, on: boolean): Promise<void> => {
    requireKey(key);
    await this.#call("hold", key, async (signal) => {
      const name = this.#options.prefix + key;
      const first = await this.#bucket.first(name, signal);
      if (first === undefined) throw new Error("there is no such object");
      await this.#bucket.hold(name, first, on, signal);
    });
  };

  async *list(prefix: string): AsyncGenerator<string, void, undefined> {
    requirePrefix(prefix);
    const whole = this.#options.prefix + prefix;
    let last: string | undefined;
    let marker: Marker | undefined;
    do {
      const from = marker;
      const page = await this.#call("list", prefix, (signal) => this.#bucket.page(whole, from, signal));
      for (const name of page.keys) {
        if (name === last) continue;
        if (!name.startsWith(whole) || (last !== undefined && name < last)) {
          throw new ArchiveFault(`list ${prefix}: the store lists ${name} out of order`);
        }
        last = name;
        yield name.slice(this.#options.prefix.length);
      }
      marker = page.next;
    } while (marker);
  }

  /** Reads a version back and holds it against what was promised; extends the retention of an older one. */
  async #confirm(promised: Promised, version: string, made: boolean, signal: AbortSignal): Promise<Stored> {
    const name = this.#options.prefix + promised.key;
    const { stat, body } = await this.#bucket.read(name, version, signal);
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of chunksOf(body, signal)) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    if (bytes !== stat.bytes) throw new Error(`${bytes} of the ${stat.bytes} bytes announced`);
    const sha256 = hash.digest("hex");
    if (sha256 !== promised.sha256) {
      const found = `holds ${bytes} bytes with SHA-256 ${sha256}, not ${promised.bytes} with ${promised.sha256}`;
      if (made) throw new Error(`the store changed what was sent: ${name} ${found}`);
      throw new ArchiveConflict(`${name} ${found}`);
    }
    if (!retained(stat, promised)) {
      if (made) throw new Error(`the store did not lock as asked: ${lockText(stat)}`);
      await this.#bucket.retain(name, version, wholeSecond(promised.until + MARGIN_MS), signal);
      const after = await this.#bucket.stat(name, version, signal);
      if (!retained(after, promised))
        throw new Error(`the store did not extend as asked: ${lockText(after)}`);
    }
    return { key: promised.key, bytes, sha256 };
  }

  #call<T>(verb: string, key: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within(this.#options.timeoutMs, `${verb} ${this.#options.prefix}${key}`, work);
  }
}

/** Nothing for an object that is not to be locked. */
const askedUntil = (until: number): number | undefined =>
  until === 0 ? undefined : wholeSecond(until + MARGIN_MS);

/** Stores differ in what they keep below a second. */
const wholeSecond = (ms: number): number => Math.ceil(ms / 1000) * 1000;

function retained(stat: Stat, { until }: Promised): boolean {
  return until === 0 || (stat.mode === "COMPLIANCE" && (stat.retainUntil ?? 0) >= until);
}

const lockText = (stat: Stat): string =>
  `${stat.mode ?? "no mode"} until ${stat.retainUntil === undefined ? "no date" : new Date(stat.retainUntil).toISOString()}`;
