/** The S3 calls the archive makes of one bucket. It judges nothing: errors are the SDK's, and writes go out once. */
import { createHash } from "node:crypto";
import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { FetchHttpHandler } from "@smithy/fetch-http-handler";
import type { Stat } from "./archive.ts";

export type S3Place = {
  /** URL of the store, without the bucket: buckets are addressed by path. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of keys that were lent for a while. */
  readonly sessionToken?: string;
  /** Keys asked for in one listing; the store's own limit is 1,000. */
  readonly pageSize?: number;
  /** The global one when absent. */
  readonly fetch?: typeof fetch;
};

export type ObjectRead = { readonly stat: Stat; readonly body: ReadableStream<Uint8Array> };
export type Page = { readonly keys: readonly string[]; readonly next?: Marker };
type Version = {
  readonly key: string;
  readonly id: string | undefined;
  /** Equal for equal bytes. */
  readonly tag: string | undefined;
};
export type Marker = { readonly key: string; readonly version: string | undefined };

export class S3Bucket {
  readonly #reader: S3Client;
  readonly #writer: S3Client;
  readonly #bucket: string;
  readonly #pageSize: number;

  constructor(place: S3Place) {
    this.#bucket = place.bucket;
    this.#pageSize = place.pageSize ?? 1000;
    this.#reader = new S3Client({ ...clientConfig(place), maxAttempts: 2 });
    // A put whose reply was lost must be looked up before it is sent again: stores that ignore `If-None-Match` would
    // keep it twice.
    this.#writer = new S3Client({ ...clientConfig(place), maxAttempts: 1 });
  }

  /** The version of a key that was stored first, whatever was put over it, delete markers included. */
  async first(key: string, signal: AbortSignal): Promise<string | undefined> {
    return (await this.history(key, signal)).first;
  }

  /** That version, and whether another one with other bytes, or a delete marker, lies over it. */
  async history(
    key: string,
    signal: AbortSignal,
  ): Promise<{ readonly first: string | undefined; readonly covered: boolean }> {
    let first: Version | undefined;
    let covered = false;
    let marker: Marker | undefined;
    do {
      const page = await this.#versions(key, marker, signal);
      // S3 lists the versions of a key newest first.
      for (const version of page.versions.filter((each) => each.key === key)) {
        covered ||= version.id === undefined || (first !== undefined && version.tag !== first.tag);
        if (version.id !== undefined) first = version;
      }
      // The key itself comes before all longer ones.
      marker = page.versions.some((version) => version.key !== key) ? undefined : page.next;
    } while (marker);
    return { first: first?.id, covered };
  }

  /** The version of a key that was stored last. S3 lists the versions of a key newest first, and markers after them. */
  async last(key: string, signal: AbortSignal): Promise<string | undefined> {
    const { versions } = await this.#versions(key, undefined, signal);
    return versions.find((version) => version.key === key && version.id !== undefined)?.id;
  }

  /** Gives the version it made; `null` (S3's word) in a bucket without versions. */
  async create(
    key: string,
    bytes: Uint8Array<ArrayBuffer>,
    retainUntil: number | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: bytes,
      ContentLength: bytes.length,
      ContentMD5: createHash("md5").update(bytes).digest("base64"),
      IfNoneMatch: "*",
      ...(retainUntil === undefined ? {} : lockUntil(retainUntil)),
    });
    return (await this.#writer.send(command, { abortSignal: signal })).VersionId ?? "null";
  }

  /** Puts over whatever is there. */
  async write(key: string, bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: bytes,
      ContentLength: bytes.length,
      ContentMD5: createHash("md5").update(bytes).digest("base64"),
    });
    await this.#writer.send(command, { abortSignal: signal });
  }

  async read(key: string, version: string, signal: AbortSignal): Promise<ObjectRead> {
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key: key, VersionId: version });
    const reply = await this.#reader.send(command, { abortSignal: signal });
    if (!reply.Body) throw new Error("an answer without a body");
    return { stat: statOf(reply), body: reply.Body.transformToWebStream() };
  }

  async stat(key: string, version: string, signal: AbortSignal): Promise<Stat> {
    const command = new HeadObjectCommand({ Bucket: this.#bucket, Key: key, VersionId: version });
    return statOf(await this.#reader.send(command, { abortSignal: signal }));
  }

  /** COMPLIANCE until a time. A store refuses to shorten one that lasts longer. */
  async retain(key: string, version: string, until: number, signal: AbortSignal): Promise<void> {
    const command = new PutObjectRetentionCommand({
      Bucket: this.#bucket,
      Key: key,
      VersionId: version,
      Retention: { Mode: "COMPLIANCE", RetainUntilDate: new Date(until) },
    });
    await this.#reader.send(command, { abortSignal: signal });
  }

  /** Sets or lifts S3's own legal hold on a version: while it is set the store deletes it for nobody. */
  async hold(key: string, version: string, on: boolean, signal: AbortSignal): Promise<void> {
    const command = new PutObjectLegalHoldCommand({
      Bucket: this.#bucket,
      Key: key,
      VersionId: version,
      LegalHold: { Status: on ? "ON" : "OFF" },
    });
    await this.#reader.send(command, { abortSignal: signal });
  }

  /** Deletes one version, or one delete marker. */
  async remove(key: string, version: string, signal: AbortSignal): Promise<void> {
    const command = new DeleteObjectCommand({ Bucket: this.#bucket, Key: key, VersionId: version });
    await this.#reader.send(command, { abortSignal: signal });
  }

  /** Ids of everything a key has: versions and delete markers. */
  async traces(key: string, signal: AbortSignal): Promise<readonly string[]> {
    const found: string[] = [];
    let marker: Marker | undefined;
    do {
      const page = await this.#listed(key, marker, signal);
      const own = [...(page.reply.Versions ?? []), ...(page.reply.DeleteMarkers ?? [])];
      for (const { Key, VersionId } of own) if (Key === key) found.push(VersionId ?? "null");
      marker = own.some(({ Key }) => Key !== key) ? undefined : page.next;
    } while (marker);
    return found;
  }

  /** Whether the bucket keeps older versions, or ever did. */
  async keepsVersions(signal: AbortSignal): Promise<boolean> {
    const command = new GetBucketVersioningCommand({ Bucket: this.#bucket });
    return (await this.#reader.send(command, { abortSignal: signal })).Status !== undefined;
  }

  /** Whether objects of the bucket can be locked. */
  async locks(signal: AbortSignal): Promise<boolean> {
    const command = new GetObjectLockConfigurationCommand({ Bucket: this.#bucket });
    try {
      const reply = await this.#reader.send(command, { abortSignal: signal });
      return reply.ObjectLockConfiguration?.ObjectLockEnabled === "Enabled";
    } catch (cause) {
      // A bucket without Object Lock has no such configuration: that is S3's answer, not a failure.
      const name = cause instanceof Error ? cause.name : "";
      if (name === "ObjectLockConfigurationNotFoundError") return false;
      throw cause;
    }
  }

  /** Keys that have a version, each once within the page, in the store's order. */
  async page(prefix: string, from: Marker | undefined, signal: AbortSignal): Promise<Page> {
    const { versions, next } = await this.#versions(prefix, from, signal);
    const keys = versions.filter((version) => version.id !== undefined).map((version) => version.key);
    return { keys: [...new Set(keys)], ...(next ? { next } : {}) };
  }

  /** Versions have an id; a delete marker of a key is given without one, after the page's versions. */
  async #versions(prefix: string, from: Marker | undefined, signal: AbortSignal) {
    const { reply, next } = await this.#listed(prefix, from, signal);
    const versions: Version[] = [];
    for (const { Key, VersionId, ETag } of reply.Versions ?? []) {
      if (Key === undefined) throw new Error("a listed version without a key");
      versions.push({ key: Key, id: VersionId ?? "null", tag: ETag });
    }
    for (const { Key } of reply.DeleteMarkers ?? [])
      if (Key !== undefined) versions.push({ key: Key, id: undefined, tag: undefined });
    return { versions, ...(next && { next }) };
  }

  /** One page as the store gives it, and where it goes on. */
  async #listed(prefix: string, from: Marker | undefined, signal: AbortSignal) {
    const command = new ListObjectVersionsCommand({
      Bucket: this.#bucket,
      Prefix: prefix,
      MaxKeys: this.#pageSize,
      KeyMarker: from?.key,
      VersionIdMarker: from?.version,
    });
    const reply = await this.#reader.send(command, { abortSignal: signal });
    if (!reply.IsTruncated) return { reply };
    const { NextKeyMarker: key, NextVersionIdMarker: version } = reply;
    if (key === undefined) throw new Error("a cut listing that does not say where it goes on");
    if (key === from?.key && version === from.version) throw new Error("a listing that does not go on");
    return { reply, next: { key, version } };
  }
}

function clientConfig(place: S3Place): S3ClientConfig {
  return {
    endpoint: place.endpoint,
    region: place.region,
    forcePathStyle: true,
    credentials: {
      accessKeyId: place.accessKeyId,
      secretAccessKey: place.secretAccessKey,
      ...(place.sessionToken === undefined ? {} : { sessionToken: place.sessionToken }),
    },
    requestHandler: new FetchHttpHandler({
      requestInit: () => ({ redirect: "manual" }),
      ...(place.fetch ? { customFetch: place.fetch } : {}),
    }),
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    // Said here so that neither the environment nor ~/.aws can say otherwise.
    defaultsMode: "standard",
    retryMode: "standard",
    useArnRegion: false,
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    disableS3ExpressSessionAuth: true,
    authSchemePreference: [],
    userAgentAppId: "steno",
  };
}

function lockUntil(until: number) {
  return { ObjectLockMode: "COMPLIANCE", ObjectLockRetainUntilDate: new Date(until) } as const;
}

type ObjectHead = Pick<
  HeadObjectCommandOutput,
  "ContentLength" | "ObjectLockMode" | "ObjectLockRetainUntilDate"
>;

function statOf(head: ObjectHead): Stat {
  if (head.ContentLength === undefined) throw new Error("an object without a length");
  return {
    bytes: head.ContentLength,
    ...(head.ObjectLockRetainUntilDate ? { retainUntil: head.ObjectLockRetainUntilDate.getTime() } : {}),
    ...(head.ObjectLockMode ? { mode: head.ObjectLockMode } : {}),
  };
}
