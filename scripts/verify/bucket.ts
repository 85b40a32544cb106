/** A bucket as the read half of an archive: `s3://bucket/prefix`, or a session's folder below that. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { sessionFolder } from "#durable/format/layout.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { s3Archive } from "#durable/store/s3-archive.ts";

export type BucketOptions = {
  /** URL of the store; without it, that of the environment, or Amazon's own. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** The names every S3 program knows: `AWS_ACCESS_KEY_ID` and so on. No file is read. */
  readonly env: Readonly<Record<string, string | undefined>>;
};

export type Bucket = {
  readonly source: Source;
  /** The archive's root, as a URL without a slash at its end. */
  readonly root: string;
  /** When the URL names one session's folder. */
  readonly only?: SessionId;
  /** When it names a day's, `yyyy-mm-dd`. */
  readonly day?: string;
};

export const isBucketUrl = (text: string): boolean => text.startsWith("s3://");

const TIMEOUT_MS = 60_000;

/** Throws a sentence that says what is missing. Asks nothing of the store yet. */
export function bucketSource(url: string, { endpoint, region, env }: BucketOptions): Bucket {
  const [, bucket = "", path = ""] = /^s3:\/\/([a-z0-9][a-z0-9.-]*)(?:\/(.*))?$/.exec(url) ?? [];
  if (bucket === "") throw new Error(`${url} is not s3://bucket or s3://bucket/prefix`);
  const { prefix, only, day } = placeOf(path);
  const wanted = region ?? env["AWS_REGION"] ?? env["AWS_DEFAULT_REGION"] ?? "us-east-1";
  const source = s3Archive({
    endpoint: endpointOf(endpoint ?? env["AWS_ENDPOINT_URL_S3"] ?? env["AWS_ENDPOINT_URL"], wanted),
    region: wanted,
    bucket,
    prefix,
    accessKeyId: needed(env, "AWS_ACCESS_KEY_ID"),
    secretAccessKey: needed(env, "AWS_SECRET_ACCESS_KEY"),
    ...(env["AWS_SESSION_TOKEN"] === undefined ? {} : { sessionToken: env["AWS_SESSION_TOKEN"] }),
    retentionDays: 0,
    now: () => Date.now(),
    timeoutMs: TIMEOUT_MS,
  });
  const root = `s3://${bucket}/${prefix}`.replace(/\/$/, "");
  return { source, root, ...(only !== undefined && { only }), ...(day !== undefined && { day }) };
}

function placeOf(path: string): Pick<Bucket, "only" | "day"> & { readonly prefix: string } {
  const folder = path === "" || path.endsWith("/") ? path : `${path}/`;
  const [, prefix = "", within = "", name] = /^(.*?)(sessions\/(?:\d+\/){3}([^/]+)\/)$/.exec(folder) ?? [];
  const [, above = "", day] = /^(.*?)sessions\/(\d{4}\/\d\d\/\d\d)\/$/.exec(folder) ?? [];
  if (day !== undefined) return { prefix: above, day: day.replaceAll("/", "-") };
  const session = v.safeParse(SessionId, name);
  const named = session.success && sessionFolder(session.output) === within;
  return named ? { prefix, only: session.output } : { prefix: folder };
}

function endpointOf(given: string | undefined, region: string): string {
  if (given === undefined) return `https://s3.${region}.amazonaws.com`;
  if (!/^https?:\/\//.test(given) || !URL.canParse(given))
    throw new Error(`"${given}" is not the URL of a store, such as https://s3.example.test`);
  return given.replace(/\/+$/, "");
}

function needed(env: BucketOptions["env"], name: string): string {
  const value = env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set`);
  return value;
}
