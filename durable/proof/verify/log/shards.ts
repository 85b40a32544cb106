/** All logs of an archive: the first, and each that goes on for the one before; and that each seals the one before it. */
import { CHECKPOINT, entryKey, LOG_VKEY, SHARDS, shardFolder } from "#durable/format/layout.ts";
import type { Successor } from "#durable/format/log/attestation.ts";
import type { Findings, Report } from "../../finding.ts";
import { readLine } from "../../log/bundle.ts";
import type { LogKeys } from "../../log/checkpoint.ts";
import { readVkey } from "../../log/note.ts";
import type { Source } from "../../read/source.ts";
import { openSaid } from "../../seal.ts";
import type { Context } from "../context.ts";
import { type Entry, type Extent, type Ledger, readLedger } from "../ledger.ts";
import { begin, checkKey, type VerifyOptions } from "../run.ts";
import { type LogState, verifyTree } from "./tree.ts";

export type Shard = {
  /** Empty for the first, else ends in a slash. */
  readonly folder: string;
  readonly context: Context;
  readonly ledger: Ledger;
};

/** Oldest first. What is found in one is reported under its folder. */
export async function readShards(
  source: Source,
  options: VerifyOptions,
  findings: Findings,
  extent: Extent,
): Promise<readonly Shard[]> {
  const folders = await foldersOf(source, findings.report);
  const shards: Shard[] = [];
  let successor: Successor | undefined;
  for (const [at, folder] of folders.entries()) {
    const within = { report: under(findings.report, folder), add: findings.add.bind(findings) };
    const held = heldBy(options, folders, folder, successor);
    const context = await begin(below(source, folder), { ...options, ...held }, within, true);
    const known = new Set(shards.flatMap(({ ledger }) => [...ledger.sessions.keys()]));
    const ledger = await readLedger(context, extent, known);
    checkKey(context, options, ledger);
    shards.push({ folder, context, ledger });
    const end = at < folders.length && ledger.events.at(-1);
    successor = end && end.predicate.event === "end" ? end.predicate.successor : undefined;
  }
  return shards;
}

/** That each log has the tree it says, and seals the one before. Returns the newest checkpoint when all are sound. */
export async function verifyShards(
  shards: readonly Shard[],
  since: LogState | undefined,
  report: Report,
): Promise<LogState | undefined> {
  const names = shards.map(({ context, ledger }) => context.log?.ed25519.name ?? ledger.origin);
  for (const [at, { folder, ledger }] of shards.entries()) moveClaims(shards, names, at, folder, ledger);
  const states: (LogState | undefined)[] = [];
  for (const [at, { context, ledger }] of shards.entries()) {
    const own =
      since && (names.includes(since.origin) ? since.origin === names[at] : at === shards.length - 1);
    states.push(await verifyTree(context, ledger.tree, own ? since : undefined));
  }
  for (const [at, shard] of shards.entries()) {
    checkLink(shards[at - 1], states[at - 1], shard, report);
    for (const { index, predicate } of shard.ledger.events)
      if (predicate.event === "begin" && index !== 0)
        report(
          "shard_unlinked",
          `${shard.folder}${entryKey(index)}`,
          "a log begins once, with its first entry",
        );
  }
  const last = shards.at(-1);
  const end = last?.ledger.events.at(-1)?.predicate;
  if (last && end?.event === "end")
    report(
      "shard_missing",
      `${shardFolder(end.successor.origin)}${CHECKPOINT}`,
      `${names.at(-1)} has ended, and says that ${end.successor.origin} goes on`,
    );
  return states.every((state) => state !== undefined) ? states.at(-1) : undefined;
}

/** What opened after a checkpoint of an earlier log speaks of that log's tree. */
function moveClaims(
  shards: readonly Shard[],
  names: readonly (string | undefined)[],
  at: number,
  folder: string,
  { tree: { claims } }: Ledger,
): void {
  for (const claim of claims.splice(0)) {
    const of = names.indexOf(claim.origin);
    const earlier = claim.code === "head_not_before" && of >= 0 && of < at ? shards[of] : undefined;
    const { index: _, ...moved } = claim;
    if (earlier) earlier.ledger.tree.claims.push({ ...moved, object: `${folder}${claim.object}` });
    else claims.push(claim);
  }
}

function checkLink(
  before: Shard | undefined,
  sealed: LogState | undefined,
  { folder, ledger }: Shard,
  report: Report,
): void {
  const first = ledger.events.find(({ index }) => index === 0)?.predicate;
  const begins = first?.event === "begin" ? first : undefined;
  const object = `${folder}${entryKey(0)}`;
  if (!before) {
    if (begins)
      report("shard_unlinked", object, `it goes on for ${begins.predecessor.origin}, which is not there`);
    return;
  }
  const end = before.ledger.events.at(-1);
  const last = `${before.folder}${CHECKPOINT}`;
  if (end?.predicate.event !== "end") report("shard_unlinked", last, "it does not say that its log ends");
  else if (sealed && end.index !== sealed.size - 1)
    report("shard_unlinked", `${before.folder}${entryKey(end.index)}`, "the log goes on after it has ended");
  else if (shardFolder(end.predicate.successor.origin) !== folder)
    report("shard_unlinked", object, `${end.predicate.successor.origin} was to go on, not this one`);
  if (!begins) report("shard_unlinked", object, "the log's first entry does not seal the log before it");
  else if (
    sealed &&
    (begins.predecessor.origin !== sealed.origin ||
      begins.predecessor.size !== sealed.size ||
      begins.predecessor.rootHash !== sealed.rootHash)
  )
    report(
      "shard_unlinked",
      object,
      `it seals ${begins.predecessor.size} entries of ${begins.predecessor.origin}; the archive has ${sealed.size}, or another root`,
    );
}

/** Of all logs, entries of each session in order, under their keys in the whole archive. */
export function sessionsOf(shards: readonly Shard[]): Map<string, Entry[]> {
  const sessions = new Map<string, Entry[]>();
  for (const { folder, ledger } of shards)
    for (const [session, entries] of ledger.sessions) {
      const all = sessions.get(session) ?? [];
      sessions.set(session, all);
      all.push(...entries.map((entry) => ({ ...entry, object: `${folder}${entry.object}` })));
    }
  return sessions;
}

/** The keys of a successor, as the log before it vouches for them. */
function keysOf(successor: Successor): LogKeys | undefined {
  const [ed25519, mlDsa] = [readVkey(successor.log), readVkey(successor.logPq)];
  return typeof ed25519 === "string" || typeof mlDsa === "string" ? undefined : { ed25519, mlDsa };
}

/** Which of the auditor's own are of this log: those that name another are held against that one. */
function heldBy(
  { log, origin, policy, ...rest }: VerifyOptions,
  folders: readonly string[],
  folder: string,
  successor: Successor | undefined,
): Partial<VerifyOptions> {
  const named = (name: string): boolean =>
    folders.includes(shardFolder(name)) ? shardFolder(name) === folder : folder === "";
  const announced = successor && shardFolder(successor.origin) === folder ? keysOf(successor) : undefined;
  const keys = log && named(log.ed25519.name) ? log : announced;
  const asked = policy?.logs[0];
  return {
    ...rest,
    log: keys,
    origin: origin !== undefined && named(origin) ? origin : undefined,
    policy: policy && (asked === undefined || named(asked.name)) ? policy : undefined,
  } as Partial<VerifyOptions>;
}

/** The folders of all logs, each after the one that its first entry says it goes on for. */
async function foldersOf(source: Source, report: Report): Promise<readonly string[]> {
  const found = new Set<string>();
  for await (const key of source.list(SHARDS)) {
    const [, origin] = /^shards\/([^/]+)\/./.exec(key) ?? [];
    if (origin === undefined) report("object_unknown", key, "no log lies there");
    else found.add(origin);
  }
  if (found.size === 0) return [""];
  const before = new Map<string, string>();
  for (const origin of found) {
    const bytes = await source.get(`${shardFolder(origin)}${entryKey(0)}`);
    const attested = bytes && (await openSaid(bytes, undefined)).attested;
    if (attested?.kind === "key-event" && attested.predicate.event === "begin")
      before.set(attested.predicate.predecessor.origin, origin);
  }
  const ordered = [""];
  const vkey = readVkey(readLine((await source.get(LOG_VKEY)) ?? new Uint8Array()) ?? "");
  let next = typeof vkey === "string" ? undefined : before.get(vkey.name);
  while (next !== undefined && found.delete(next)) {
    ordered.push(shardFolder(next));
    next = before.get(next);
  }
  return [...ordered, ...[...found].sort().map(shardFolder)];
}

/** What lies below a folder, as if that were the root. */
export const below = (source: Source, folder: string): Source =>
  folder === ""
    ? source
    : {
        get: (key) => source.get(`${folder}${key}`),
        stat: (key) => source.stat(`${folder}${key}`),
        async *list(prefix) {
          for await (const key of source.list(`${folder}${prefix}`)) yield key.slice(folder.length);
        },
      };

/** What was named in the whole archive already is left as it is. */
const under =
  (report: Report, folder: string): Report =>
  (code, object, message) =>
    report(code, object.startsWith(SHARDS) ? object : `${folder}${object}`, message);
