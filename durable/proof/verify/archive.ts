/** An archive, or one session of it, from bytes alone to findings and two verdicts. */

import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { entryKey, LOG_VKEY, SEAL_NAME, SEAL_PUB, sessionFolder } from "#durable/format/layout.ts";
import { type Bytes, readUtf8 } from "../bytes.ts";
import { type Finding, Findings, type Verdict } from "../finding.ts";
import { importSealKey, KeyUnreadable, readPem, type SealKey, toPem } from "../key.ts";
import type { LogKeys } from "../log/checkpoint.ts";
import type { Source } from "../read/source.ts";
import { openHead } from "../seal.ts";
import type { Context } from "./context.ts";
import { type Ledger, readLedger } from "./ledger.ts";
import { readLogKeys } from "./log/keys.ts";
import { type LogState, verifyTree } from "./log/tree.ts";
import { type SessionPlace, verifySession } from "./session.ts";

export type VerifyOptions = {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The key the auditor holds. Without it the archive's own is used, and proves only that it is one archive. */
  readonly key?: SealKey;
  /** The ledger's name. Without it, the one most heads have. */
  readonly origin?: string;
  /** The log's keys as the auditor holds them. */
  readonly log?: LogKeys;
  /** A checkpoint the auditor saw earlier: the log must extend it. */
  readonly since?: LogState;
  /** The source is the store: what it says of retention is checked. */
  readonly retention?: boolean;
  readonly packMax?: number;
};

export type Verified = Verdict & {
  readonly sessions: number;
  readonly frames: number;
  readonly findings: readonly Finding[];
  /** Hint of the key that signatures were checked with, and whose it was. */
  readonly key: { readonly hint: string; readonly from: "auditor" | "archive" } | undefined;
  /** The newest checkpoint, when the whole log was verified and all its entries make it. */
  readonly log?: LogState;
};

/** The whole archive, or with `only` what concerns one session. */
export async function verifyArchive(
  source: Source,
  options: VerifyOptions,
  only?: SessionId,
): Promise<Verified> {
  const findings = new Findings();
  const context = await begin(source, options, findings, true);
  const ledger = await readLedger(context, only ? { of: "session", session: only } : { of: "all" });
  checkKey(context, options, ledger);
  const log = only ? undefined : await verifyTree(context, ledger.tree, options.since);
  const seen = new Set<string>();
  let frames = 0;
  const verify = async (session: string, folder: string, names: readonly string[]) => {
    seen.add(session);
    const whole = { session, folder, names, ledger: true, origin: options.origin ?? ledger.origin };
    frames += await verifySession(context, { ...whole, entries: entriesOf(ledger, session) });
  };
  for await (const { session, folder, names } of sessionFolders(
    context,
    only ? sessionFolder(only) : "sessions/",
  ))
    await verify(session, folder, names);
  for (const session of only ? [only] : ledger.sessions.keys())
    if (!seen.has(session) && isSessionId(session)) await verify(session, sessionFolder(session), []);
  return { ...conclude(findings, context, options, { sessions: seen.size, frames }), ...(log && { log }) };
}

/** One session's objects in a folder of their own, perhaps with `log/entry/…` and `trust/seal.pub` beside them. */
export async function verifyFolder(
  source: Source,
  options: VerifyOptions,
  session?: SessionId,
): Promise<Verified> {
  const findings = new Findings();
  const context = await begin(source, options, findings, false);
  const ledger = await readLedger(context, { of: "copied" });
  checkKey(context, options, ledger);
  const names: string[] = [];
  for await (const key of source.list("")) {
    if (!key.includes("/")) names.push(key);
    else if (!/^(log|trust)\//.test(key))
      context.report("object_unknown", key, "no object of a session lies there");
  }
  const whose = session ?? (await sealedSession(source)) ?? [...ledger.sessions.keys()][0];
  const entries = whose === undefined ? [] : entriesOf(ledger, whose);
  const place = { session: whose, folder: "", names, entries, ledger: ledger.entries > 0 };
  const frames = await verifySession(context, { ...place, origin: options.origin ?? ledger.origin });
  return conclude(findings, context, options, { sessions: 1, frames });
}

async function sealedSession(source: Source): Promise<string | undefined> {
  const bytes = await source.get(SEAL_NAME);
  return bytes && (await openHead(bytes, undefined)).statement?.predicate.session;
}

const entriesOf = ({ sessions }: Ledger, session: string): SessionPlace["entries"] =>
  (sessions.get(session) ?? []).map(({ index, trusted }) => ({ object: entryKey(index), trusted }));

const isSessionId = (text: string): text is SessionId => v.is(SessionId, text);

const FOLDER = /^(sessions\/\d{4}\/\d\d\/\d\d\/(ses_[^/]+)\/)([^/]+)$/;

/** Keys come ascending, so the objects of a folder come together: one folder's names are held at a time. */
async function* sessionFolders({ source, report }: Context, prefix: string) {
  let open: { readonly session: string; readonly folder: string; readonly names: string[] } | undefined;
  for await (const key of source.list(prefix)) {
    const [, folder = "", session = "", name = ""] = FOLDER.exec(key) ?? [];
    if (!isSessionId(session) || sessionFolder(session) !== folder) {
      report("object_unknown", key, "no session is filed there");
      continue;
    }
    if (open?.folder !== folder) {
      if (open) yield open;
      open = { session, folder, names: [name] };
    } else {
      open.names.push(name);
    }
  }
  if (open) yield open;
}

async function begin(
  source: Source,
  options: VerifyOptions,
  findings: Findings,
  root: boolean,
): Promise<Context> {
  const { report } = findings;
  const { now, retention = false, packMax = 256 * 1024 * 1024 } = options;
  const stored = await source.get(SEAL_PUB);
  let published: SealKey | undefined;
  if (!stored) {
    if (root) report("key_missing", SEAL_PUB, "the archive does not have the key that signs its heads");
  } else {
    const read = await readStoredKey(stored);
    if (typeof read === "string") report("key_malformed", SEAL_PUB, read);
    else published = read;
  }
  if (published && options.key && published.hint !== options.key.hint)
    report("key_other", SEAL_PUB, `key ${published.hint}; the auditor holds ${options.key.hint}`);
  const log = await readLogKeys(source, report, options.log, root);
  if (log && options.origin !== undefined && log.ed25519.name !== options.origin)
    report("key_other", LOG_VKEY, `of the log ${log.ed25519.name}, not of ${options.origin}`);
  const key = options.key ?? published;
  if (!key) report("key_none", SEAL_PUB, "no signature can be checked: give the key that signs the heads");
  return { source, report, key, log, opened: new Map(), now, retention, packMax };
}

/** The key of a stored PEM, or what is wrong with it: no byte of it is free, save the last LF, which may be absent. */
async function readStoredKey(stored: Bytes): Promise<SealKey | string> {
  try {
    const text = readUtf8(stored) ?? "";
    const key = await importSealKey(readPem(text));
    return [text, `${text}\n`].includes(toPem(key.spki)) ? key : "not written as a PEM is";
  } catch (error) {
    if (error instanceof KeyUnreadable) return error.message;
    throw error;
  }
}

function checkKey({ report, key }: Context, options: VerifyOptions, { entries, signed }: Ledger): void {
  if (key && !options.key && entries > 0 && signed === 0)
    report("key_other", SEAL_PUB, `key ${key.hint} signed none of the ${entries} heads in the ledger`);
}

function conclude(
  findings: Findings,
  { key }: Context,
  options: VerifyOptions,
  seen: { readonly sessions: number; readonly frames: number },
): Verified {
  const from = options.key ? "auditor" : "archive";
  return { ...findings.verdict, ...seen, findings: findings.list(), key: key && { hint: key.hint, from } };
}
