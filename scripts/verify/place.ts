/** Where the evidence is that a path or a URL names: an archive, one session of it, a session on its own, or one head. */
import { stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { sessionFolder } from "#durable/format/layout.ts";
import { DISCLOSED } from "#durable/proof/disclose/names.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { openPageEvidence } from "#scripts/export/read-page.ts";
import { type BucketOptions, bucketSource, isBucketUrl } from "./bucket.ts";
import type { Whereabouts } from "./crew.ts";
import { folderSource } from "./folder.ts";

/** `root` is what keys are below, for people. */
export type Place = {
  readonly root: string;
  readonly source: Source;
  readonly where: Whereabouts;
} /** All of it, or one session, or the sessions of one day (`yyyy-mm-dd`). */ & (
  | { readonly kind: "archive"; readonly only?: SessionId; readonly day?: string }
  | { readonly kind: "folder"; readonly session?: SessionId }
  /** Frames that were disclosed. */
  | { readonly kind: "disclosed" }
  /** One head as it is stored. */
  | { readonly kind: "bundle"; readonly object: string }
);

/** Throws a sentence that says what is there instead. */
export const findPlace = (path: string, options: BucketOptions): Promise<Place> =>
  isBucketUrl(path) ? inBucket(path, options) : onDisk(path);

/** A store is read as it is, so what it says of retention is checked as well. */
async function inBucket(url: string, options: BucketOptions): Promise<Place> {
  const bucket = bucketSource(url, options);
  const place: Place = { kind: "archive", where: { kind: "bucket", url, options }, ...bucket };
  for (const prefix of ["trust/", "log/", "sessions/"])
    for await (const _ of bucket.source.list(prefix)) return place;
  throw new Error(`${url} holds no archive (sessions/, log/)`);
}

async function onDisk(path: string): Promise<Place> {
  const root = resolve(path);
  const found = await stat(root).catch((cause: unknown) => {
    throw new Error(`${path} cannot be read`, { cause });
  });
  if (found.isFile()) return inFile(root, path);
  if (!found.isDirectory()) throw new Error(`${path} is neither a directory nor a file`);
  const named = v.safeParse(SessionId, basename(root));
  const session = named.success ? named.output : undefined;
  if (session !== undefined) {
    const folder = sessionFolder(session);
    const above = resolve(root, "../../../../..");
    if (resolve(above, folder) === root && (await isDirectory(join(above, "log/entry"))))
      return { ...archiveAt(above), only: session };
  }
  const [, day] = /\/sessions\/(\d{4}\/\d\d\/\d\d)$/.exec(root) ?? [];
  const over = resolve(root, "../../../..");
  if (day !== undefined && (await isDirectory(join(over, "log/entry"))))
    return { ...archiveAt(over), day: day.replaceAll("/", "-") };
  if (await isDirectory(join(root, "sessions"))) return archiveAt(root);
  const source = folderSource(root);
  for await (const key of source.list("frame-"))
    if (DISCLOSED.test(key)) return { kind: "disclosed", ...at(root) };
  for await (const key of source.list("")) {
    if (/^(seal\.sigstore\.json|frames-\d{6}\.ndjson\.zst(\.age)?)$/.test(key))
      return { kind: "folder", ...at(root), ...(session !== undefined && { session }) };
    if (/^log\/entry\//.test(key)) return archiveAt(root);
  }
  throw new Error(`${path} holds neither an archive (sessions/, log/) nor a session (seal.sigstore.json)`);
}

const at = (root: string) => ({ root, source: folderSource(root), where: { kind: "folder", root } }) as const;
const archiveAt = (root: string) => ({ kind: "archive", ...at(root) }) as const;

/** A seal or a log entry: in its archive, whose keys are then at hand, or anywhere else. */
async function inFile(file: string, path: string): Promise<Place> {
  if (file.endsWith(".html")) return inPage(file);
  if (!file.endsWith(".sigstore.json"))
    throw new Error(
      `${path} is not the bundle of a head (seal.sigstore.json, or of a log entry), nor a session's page (.html)`,
    );
  // log/entry/<index>…, sessions/<yyyy>/<mm>/<dd>/<session>/seal…
  for (const up of ["../../..", "../../../../../.."]) {
    const above = resolve(file, up);
    if (await isDirectory(join(above, "trust")))
      return { kind: "bundle", ...at(above), object: relative(above, file) };
  }
  return { kind: "bundle", ...at(dirname(file)), object: basename(file) };
}

/** The evidence that a session's page carries, whatever the page itself says of it. */
async function inPage(file: string): Promise<Place> {
  const { session, source } = openPageEvidence(file);
  return { kind: "archive", root: file, source, where: { kind: "page", file }, only: session };
}

/** A place that cannot be looked at is not one that holds evidence: the caller then says what it found nowhere. */
async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ?? false;
}
