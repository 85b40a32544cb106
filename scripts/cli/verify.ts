/** `steno verify PATH|s3://…`: findings one a line, then the two verdicts. Needs no gateway and no configuration. */
import { readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { SEAL_PUB, sessionFolder } from "#durable/format/layout.ts";
import { importSealKey, readPem, type SealKey } from "#durable/proof/key.ts";
import type { LogKeys } from "#durable/proof/log/checkpoint.ts";
import { ED25519, ML_DSA_44, readVkey } from "#durable/proof/log/note.ts";
import type { Source } from "#durable/proof/read/source.ts";
import {
  type Verified,
  type VerifyOptions,
  verifyArchive,
  verifyFolder,
} from "#durable/proof/verify/archive.ts";
import { type BucketOptions, bucketSource, isBucketUrl } from "#scripts/verify/bucket.ts";
import { folderSource } from "#scripts/verify/folder.ts";
import { keepState, readState } from "#scripts/verify/state.ts";
import { readFlags, UsageFault } from "./flags.ts";

const FLAGS = {
  key: "text",
  vkey: "text",
  origin: "text",
  since: "text",
  endpoint: "text",
  region: "text",
  json: "flag",
} as const;

/** Where the evidence is: an archive's root, a session's folder within one, or a session's folder on its own. */
type Place = { readonly root: string; readonly source: Source } & (
  | { readonly kind: "archive"; readonly store: boolean; readonly only?: SessionId }
  | { readonly kind: "folder"; readonly session?: SessionId }
);

type Environment = Readonly<Record<string, string | undefined>>;

export async function verify(args: string[], env: Environment = process.env): Promise<number> {
  hushMlDsa();
  const { values, rest } = readFlags(args, FLAGS, 1);
  const [path] = rest;
  if (path === undefined) throw new UsageFault("verify needs the path of an archive or of a session");
  const { endpoint, region } = values;
  if (!isBucketUrl(path) && (endpoint ?? region) !== undefined)
    throw new UsageFault("--endpoint and --region are for s3://bucket/prefix");
  const place = isBucketUrl(path) ? await inBucket(path, { endpoint, region, env }) : await onDisk(path);
  const key = values.key === undefined ? undefined : await readKeyFile(values.key);
  const log = values.vkey === undefined ? undefined : await readVkeys(values.vkey);
  const whole = place.kind === "archive" && place.only === undefined;
  if (values.since !== undefined && !whole)
    throw new UsageFault("--since is for a whole archive: only its whole log says that it extends another");
  const since = values.since === undefined ? undefined : await readState(values.since);
  const options: VerifyOptions = {
    now: Date.now(),
    ...(key && { key }),
    ...(log && { log }),
    ...(since && { since }),
    ...(values.origin !== undefined && { origin: values.origin }),
    retention: place.kind === "archive" && place.store,
  };
  const { source } = place;
  if (place.kind === "folder" && !key && !(await source.stat(SEAL_PUB)))
    throw new Error(
      `there is no key to verify with: give --key seal.pub, or put it at ${join(path, SEAL_PUB)}`,
    );
  const verified =
    place.kind === "archive"
      ? await verifyArchive(source, options, place.only)
      : await verifyFolder(source, options, place.session);
  // A log that was found unsound is not what the next look should be held against.
  if (values.since !== undefined && verified.log) await keepState(values.since, verified.log);
  print(verified, place, values.key, values.json ?? false);
  return verified.findings.length === 0 ? 0 : 1;
}

/** Node calls its ML-DSA experimental; what is verified with it does not change with that. */
function hushMlDsa(): void {
  const emit = process.emitWarning.bind(process);
  process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
    if (!String(warning).includes("ML-DSA-44 Web Crypto")) emit(warning, ...rest);
  }) as typeof process.emitWarning;
}

/** A store is read as it is, so what it says of retention is checked as well. */
async function inBucket(url: string, options: BucketOptions): Promise<Place> {
  const bucket = bucketSource(url, options);
  const place: Place = { kind: "archive", store: true, ...bucket };
  for (const prefix of ["trust/", "log/", "sessions/"])
    for await (const _ of bucket.source.list(prefix)) return place;
  throw new Error(`${url} holds no archive (sessions/, log/)`);
}

async function onDisk(path: string): Promise<Place> {
  if (/^[a-z0-9]+:\/\//.test(path))
    throw new UsageFault(`verify reads directories and s3://bucket/prefix; ${path} is neither`);
  const root = resolve(path);
  const found = await stat(root).catch((cause: unknown) => {
    throw new Error(`${path} cannot be read`, { cause });
  });
  if (!found.isDirectory()) throw new Error(`${path} is not a directory`);
  const named = v.safeParse(SessionId, basename(root));
  const session = named.success ? named.output : undefined;
  if (session !== undefined) {
    const folder = sessionFolder(session);
    const above = resolve(root, "../../../../..");
    if (resolve(above, folder) === root && (await isDirectory(join(above, "log/entry"))))
      return { ...archiveAt(above), only: session };
  }
  if (await isDirectory(join(root, "sessions"))) return archiveAt(root);
  const source = folderSource(root);
  for await (const key of source.list("")) {
    if (/^(seal\.sigstore\.json|frames-\d{6}\.ndjson\.zst)$/.test(key))
      return { kind: "folder", root, source, ...(session !== undefined && { session }) };
    if (/^log\/entry\//.test(key)) return archiveAt(root);
  }
  throw new Error(`${path} holds neither an archive (sessions/, log/) nor a session (seal.sigstore.json)`);
}

const archiveAt = (root: string) =>
  ({ kind: "archive", store: false, root, source: folderSource(root) }) as const;

/** A place that cannot be looked at is not one that holds evidence: the caller then says what it found nowhere. */
async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

async function readKeyFile(path: string): Promise<SealKey> {
  try {
    return await importSealKey(readPem(await readFile(path, "utf8")));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the key in ${path} cannot be used: ${why}`, { cause });
  }
}

/** Two vkeys, one a line: an Ed25519 key and an ML-DSA-44 key of one log. */
async function readVkeys(path: string): Promise<LogKeys> {
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  const keys = lines.map((line) => {
    const key = readVkey(line);
    if (typeof key === "string") throw new Error(`${path} holds a line that is no vkey: ${key}`);
    return key;
  });
  const ed25519 = keys.find(({ type }) => type === ED25519);
  const mlDsa = keys.find(({ type }) => type === ML_DSA_44);
  if (keys.length !== 2 || !ed25519 || !mlDsa || ed25519.name !== mlDsa.name)
    throw new Error(`${path} does not hold the two keys of one log, one a line: Ed25519 and ML-DSA-44`);
  return { ed25519, mlDsa };
}

function print(verified: Verified, place: Place, keyPath: string | undefined, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(verified));
    return;
  }
  const { findings, integrity, completeness, sessions, frames, key } = verified;
  for (const { code, object, message } of findings) console.log(`${code} ${object}: ${message}`);
  if (keyPath === undefined)
    console.error(
      `key ${key?.hint ?? "none"} from ${place.root}/${SEAL_PUB}: give --key to hold it against your own`,
    );
  console.log(`${integrity} ${completeness} sessions=${sessions} frames=${frames}`);
}
