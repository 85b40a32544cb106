/**
 * Object Lock, put to the test: several stores accept its headers and do not keep what they mean. Everything is done to
 * objects of the probe's own, below `probe/`, which are locked for a day. Needs s3:DeleteObjectVersion beside what the
 * archive needs: a key that lacks it is refused the deletion too, and then the result says nothing of the store.
 */
import { PROBE_PREFIX, PROBE_SAYS } from "#durable/format/layout.ts";
import { within } from "../deadline.ts";
import { S3Bucket, type S3Place } from "../s3-bucket.ts";
import { broke, graded, held, PROBE_DAYS, type Probed, type Prober, type Result } from "./probe.ts";

export type S3ProbeOptions = S3Place & {
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** For the whole probe. */
  readonly timeoutMs: number;
};

const WRITERS = 8;
const HOUR_MS = 3_600_000;

export function s3Probe(options: S3ProbeOptions): Prober {
  const bucket = new S3Bucket(options);
  return {
    probe: (id) =>
      within(options.timeoutMs, `probe ${id}`, (signal) =>
        probe(bucket, `${options.prefix}${PROBE_PREFIX}${id}`, options.now(), signal),
      ),
  };
}

const text = (said: string): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(said) as Uint8Array<ArrayBuffer>;

async function probe(bucket: S3Bucket, key: string, now: number, signal: AbortSignal): Promise<Probed> {
  // Whole seconds: that is what stores keep of a date.
  const until = Math.floor(now / 1000) * 1000 + PROBE_DAYS * 24 * HOUR_MS;
  const made = await answered(() => bucket.create(key, text(PROBE_SAYS.canary), until, signal));
  if ("refused" in made)
    return graded("s3", [broke("create", `a put with Object Lock COMPLIANCE is refused: ${made.refused}`)]);
  const results: Result[] = [held("create", "a put with Object Lock COMPLIANCE is taken")];
  const locked = await lockOf(bucket, key, made.value, until, signal);
  results.push(
    locked === undefined
      ? held("retention", "COMPLIANCE, until the time that was asked for")
      : broke("retention", `the store says ${locked}`),
  );
  const second = await answered(() => bucket.create(key, text(PROBE_SAYS.another), until, signal));
  results.push(
    "refused" in second
      ? held("second-put", `If-None-Match is honoured: ${second.refused}`)
      : broke(
          "second-put",
          "If-None-Match is ignored: a key takes another version, and the first one counts",
        ),
  );
  results.push(await race(bucket, `${key}-race`, until, signal));
  results.push(await shorten(bucket, `${key}-shorten`, now, until, signal));
  const removed = await answered(() => bucket.remove(key, made.value, signal));
  const gone = await answered(() => bucket.stat(key, made.value, signal));
  results.push(
    "refused" in removed && "value" in gone
      ? held("delete-version", `deleting a locked version is refused: ${removed.refused}`)
      : broke("delete-version", "a locked version can be deleted"),
  );
  return graded("s3", results);
}

/** Of an object of its own: a lock that is changed here must not be what keeps the canary. */
async function shorten(
  bucket: S3Bucket,
  key: string,
  now: number,
  until: number,
  signal: AbortSignal,
): Promise<Result> {
  const version = await bucket.create(key, text(PROBE_SAYS.shorten), until, signal);
  const before = await lockOf(bucket, key, version, until, signal);
  const shortened = await answered(() => bucket.retain(key, version, now + HOUR_MS, signal));
  const after = await lockOf(bucket, key, version, until, signal);
  return "refused" in shortened && after === before
    ? held("shorten", `a shorter retention is refused: ${shortened.refused}`)
    : broke("shorten", `a shorter retention is taken: ${after ?? "and nothing changes"}`);
}

/** What is wrong with the lock of an object. */
async function lockOf(
  bucket: S3Bucket,
  key: string,
  version: string,
  until: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { mode, retainUntil } = await bucket.stat(key, version, signal);
  if (mode === "COMPLIANCE" && retainUntil !== undefined && retainUntil >= until) return undefined;
  const date = retainUntil === undefined ? "no date" : new Date(retainUntil).toISOString();
  return `${mode ?? "no mode"}, until ${date}`;
}

async function race(bucket: S3Bucket, key: string, until: number, signal: AbortSignal): Promise<Result> {
  const puts = Array.from({ length: WRITERS }, (_, i) =>
    answered(() => bucket.create(key, text(PROBE_SAYS.writer(i)), until, signal)),
  );
  const won = (await Promise.all(puts)).filter((put) => "value" in put).length;
  return won === 1
    ? held("race", `of ${WRITERS} puts of one key at once, one is taken`)
    : broke("race", `of ${WRITERS} puts of one key at once, ${won} are taken`);
}

type Answered<T> = { readonly value: T } | { readonly refused: string };

/** A refusal is the store's answer (4xx); everything else is no answer, and thrown. */
async function answered<T>(call: () => Promise<T>): Promise<Answered<T>> {
  try {
    return { value: await call() };
  } catch (cause) {
    const status = (cause as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
    if (status === undefined || status < 400 || status > 499) throw cause;
    return { refused: String(status) };
  }
}
