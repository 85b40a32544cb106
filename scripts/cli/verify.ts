/** `steno verify PATH|s3://…`: findings one a line, then the two verdicts. Needs no gateway and no configuration. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { SEAL_PUB } from "#durable/format/layout.ts";
import { unsealWith } from "#durable/proof/age/unseal.ts";
import { verifyDisclosed } from "#durable/proof/disclose/verify-disclosed.ts";
import { importSealKey, readPem, type SealKey } from "#durable/proof/key.ts";
import type { LogKeys } from "#durable/proof/log/checkpoint.ts";
import { ED25519, ML_DSA_44, readVkey } from "#durable/proof/log/note.ts";
import { type Policy, readPolicy } from "#durable/proof/log/policy.ts";
import { type Certificate, readCertificates } from "#durable/proof/timestamp/certificate.ts";
import { type Verified, type VerifyOptions, verifyArchive } from "#durable/proof/verify/archive.ts";
import { verifyBundle, verifyFolder } from "#durable/proof/verify/folder.ts";
import { identitiesIn } from "#scripts/encrypted/identity.ts";
import { keysFor } from "#scripts/encrypted/keys-for.ts";
import { isBucketUrl } from "#scripts/verify/bucket.ts";
import { gather } from "#scripts/verify/crew.ts";
import { hushMlDsa } from "#scripts/verify/ml-dsa.ts";
import { findPlace, type Place } from "#scripts/verify/place.ts";
import { progressBar } from "#scripts/verify/progress.ts";
import { keepState, readState } from "#scripts/verify/state.ts";
import { readFlags, UsageFault } from "./flags.ts";

const FLAGS = {
  key: "text",
  vkey: "text",
  policy: "text",
  "tsa-cert": "text",
  origin: "text",
  since: "text",
  session: "text",
  day: "text",
  identity: "text",
  keys: "text",
  endpoint: "text",
  region: "text",
  json: "flag",
} as const;

type Environment = Readonly<Record<string, string | undefined>>;

export async function verify(args: string[], env: Environment = process.env): Promise<number> {
  hushMlDsa();
  const { values, rest } = readFlags(args, FLAGS, 1);
  const [path] = rest;
  if (path === undefined) throw new UsageFault("verify needs the path of an archive or of a session");
  const { endpoint, region } = values;
  if (/^[a-z0-9]+:\/\//.test(path) && !isBucketUrl(path))
    throw new UsageFault(`verify reads directories, files and s3://bucket/prefix; ${path} is none of them`);
  if (!isBucketUrl(path) && (endpoint ?? region) !== undefined)
    throw new UsageFault("--endpoint and --region are for s3://bucket/prefix");
  const place = chosen(await findPlace(path, { endpoint, region, env }), values);
  const key = values.key === undefined ? undefined : await readKeyFile(values.key);
  const log = values.vkey === undefined ? undefined : await readVkeys(values.vkey);
  const since = values.since === undefined ? undefined : await readState(values.since);
  const policy = values.policy === undefined ? undefined : await readPolicyFile(values.policy);
  const tsa = values["tsa-cert"] === undefined ? undefined : await readTsaFile(values["tsa-cert"]);
  if (values.keys !== undefined && values.identity === undefined)
    throw new UsageFault("--keys is where session keys are: give --identity FILE too, to open them with");
  const unseal =
    values.identity === undefined
      ? undefined
      : unsealWith(
          await keysFor(place, values.keys, { endpoint, region, env }),
          await identitiesIn(values.identity),
        );
  const gathered = gather(place.where);
  const bar = progressBar();
  const options: VerifyOptions = {
    now: Date.now(),
    ...(policy && { policy }),
    ...(tsa && { tsa }),
    ...(key && { key }),
    ...(log && { log }),
    ...(since && { since }),
    ...(unseal && { unseal }),
    ...(values.origin !== undefined && { origin: values.origin }),
    ...(place.kind === "archive" && place.day !== undefined && { day: place.day }),
    retention: place.where.kind === "bucket",
    crew: gathered.crew,
    progress: bar.show,
  };
  const verified = await verifyPlace(place, options).finally(async () => {
    bar.wipe();
    await gathered.dismiss();
  });
  // A log that was found unsound is not what the next look should be held against.
  if (values.since !== undefined && verified.log) await keepState(values.since, verified.log);
  print(verified, place, values.key, values.json ?? false);
  // A note is nothing that was found: it says what was not looked into.
  return verified.findings.every(({ severity }) => severity === "note") ? 0 : 1;
}

/** The place, or the part of it that was asked for. */
function chosen(place: Place, { session, day, since, policy }: Chosen): Place {
  if (session !== undefined && day !== undefined) throw new UsageFault("give --session or --day, not both");
  if ((session ?? day) !== undefined && (place.kind !== "archive" || (place.only ?? place.day) !== undefined))
    throw new UsageFault("--session and --day choose from a whole archive; the path names less");
  if (day !== undefined && !isDay(day)) throw new UsageFault(`--day ${day} is not a day such as 2026-11-26`);
  const only = session === undefined ? undefined : v.safeParse(SessionId, session);
  if (only?.success === false) throw new UsageFault(`--session ${session} is not a session's id: ses_…`);
  const part = { ...place, ...(day !== undefined && { day }), ...(only && { only: only.output }) };
  const whole = part.kind === "archive" && part.only === undefined;
  if (since !== undefined && !whole)
    throw new UsageFault("--since is for a whole archive: only its whole log says that it extends another");
  if (policy !== undefined && !whole)
    throw new UsageFault(
      "--policy is for a whole archive: only its whole log says what its checkpoints bear",
    );
  return part;
}

type Chosen = { readonly [name in "session" | "day" | "since" | "policy"]?: string };

const isDay = (text: string): boolean =>
  /^\d{4}-\d\d-\d\d$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.slice(0, 10) === text;

async function verifyPlace(place: Place, options: VerifyOptions): Promise<Verified> {
  const { source, root } = place;
  if (place.kind !== "archive" && !options.key && !(await source.stat(SEAL_PUB)))
    throw new Error(
      `there is no key to verify with: give --key seal.pub, or put it at ${join(root, SEAL_PUB)}`,
    );
  switch (place.kind) {
    case "archive":
      return verifyArchive(source, options, place.only);
    case "bundle":
      return verifyBundle(source, options, place.object);
    case "disclosed":
      return verifyDisclosed(source, options);
    case "folder":
      return verifyFolder(source, options, place.session);
  }
}

async function readKeyFile(path: string): Promise<SealKey> {
  try {
    return await importSealKey(readPem(await readFile(path, "utf8")));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the key in ${path} cannot be used: ${why}`, { cause });
  }
}

/** C2SP tlog-policy. */
async function readPolicyFile(path: string): Promise<Policy> {
  const policy = readPolicy(await readFile(path, "utf8"));
  if (typeof policy === "string") throw new Error(`${path} is no witness policy: ${policy}`);
  return policy;
}

/** Certificates of timestamp authorities, or of who issued theirs, in PEM. */
async function readTsaFile(path: string): Promise<readonly Certificate[]> {
  const certificates = readCertificates(await readFile(path, "utf8"));
  if (typeof certificates === "string") throw new Error(`${path}: ${certificates}`);
  return certificates;
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
  if (place.kind === "bundle") console.error("one head by itself: no frames were read");
  if (place.kind === "disclosed") console.error("frames that were disclosed: nothing is said of the others");
  if (keyPath === undefined)
    console.error(
      `key ${key?.hint ?? "none"} from ${place.root}/${SEAL_PUB}: give --key to hold it against your own`,
    );
  console.log(`${integrity} ${completeness} sessions=${sessions} frames=${frames}`);
}
