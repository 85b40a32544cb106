/** One session: its heads, its seal, its folder, its frames. */
import type { Head } from "#durable/format/head.ts";
import { SEAL_NAME, SEGMENT_NAME } from "#durable/format/layout.ts";
import { type Bytes, equal } from "../bytes.ts";
import { Findings, type Found } from "../finding.ts";
import type { Source } from "../read/source.ts";
import { openHead, stampOf } from "../seal.ts";
import { type Context, contextOf, type Given, type Seed } from "./context.ts";
import { checkChain, checkHead, isTerminal, type StoredHead } from "./heads.ts";
import { checkEntry } from "./log/entry.ts";
import { reportUnstamped } from "./log/timestamps.ts";
import { checkRetention } from "./retention.ts";
import { type Erasure, type OwnKey, openerFor } from "./sealed/opener.ts";
import { verifyFrames } from "./tape/frames.ts";
import { reportReasons } from "./tape/joins.ts";

export type SessionPlace = {
  /** Whose folder it is; undefined when only the seal can say. */
  readonly session: string | undefined;
  /** Empty, or ends in a slash. */
  readonly folder: string;
  /** Names of the objects in the folder. */
  readonly names: readonly string[];
  /** Keys of the session's ledger entries in ledger order, and whether their signature held. */
  readonly entries: readonly { readonly object: string; readonly trusted: boolean }[];
  /** Names of the archive's logs, as far as they are known. */
  readonly origins: readonly string[];
  /** The whole ledger is at hand: a head that is not among the entries is not in it. */
  readonly ledger: boolean;
  /** Its key, when an identity was given. */
  readonly key: OwnKey | undefined;
  /** What the log says of its erasure. */
  readonly erasure: Erasure | undefined;
};

/** What comes of a session that was verified by itself: plain values. */
export type SessionVerified = { readonly frames: number; readonly found: Found };

/** Verifies a session with findings of its own, whoever else is at work. */
export async function verifyApart(
  source: Source,
  seed: Seed & Given,
  place: SessionPlace,
  others?: Parameters<typeof contextOf>[3],
): Promise<SessionVerified> {
  const findings = new Findings();
  const frames = await verifySession(await contextOf(source, seed, findings, others), place);
  return { frames, found: findings.found() };
}

type Stored = StoredHead & { readonly bytes: Bytes; readonly stamped: boolean };

/** Returns how many frames were read. */
export async function verifySession(context: Context, place: SessionPlace): Promise<number> {
  const { report } = context;
  const { folder } = place;
  const entries = await openEntries(context, place);
  const seal = await openSeal(context, place);
  const trusted = entries.filter((head) => head.trusted);
  const terminal = trusted.findLast((head) => isTerminal(head.statement.predicate));
  checkSeal(context, place, seal, terminal);
  if (place.ledger && seal?.head?.trusted && !entries.some((head) => isTerminal(head.statement.predicate)))
    report("entry_missing", folder, "the seal is in no entry of the ledger");
  const session = place.session ?? seal?.head?.statement.predicate.session;
  const sealed = seal?.head && (seal.head.trusted || trusted.length === 0) ? seal.head : undefined;
  const heads = !terminal && sealed ? [...trusted, sealed] : trusted;
  for (const head of heads) checkHead(head, session ?? "", place.origins, report);
  if (place.ledger) checkChain(places(entries, sealed), folder, report);
  const last = terminal ?? sealed ?? trusted.at(-1) ?? entries.at(-1);
  if (!last) {
    if (!seal) report("object_missing", `${folder}${SEAL_NAME}`, "no seal, and no head that could be read");
    return 0;
  }
  const { predicate } = last.statement;
  if (isTerminal(predicate)) reportUnstamped(context, last.object, last.stamped);
  else reportOpen(context, last.object, predicate, folder);
  if (isTerminal(predicate)) reportReasons(predicate, last.object, report);
  checkNames(context, place, predicate);
  if (context.retention) await checkRetention(context, place, predicate);
  const own = openerFor(context, folder || last.object, predicate, place.key, place.erasure);
  return verifyFrames(context, folder, last, heads, own);
}

/** Heads the key did not sign keep their place in the count, and are not believed. */
function places(entries: readonly Stored[], sealed: Stored | undefined): Stored[] {
  const ended = entries.some((entry) => isTerminal(entry.statement.predicate));
  return sealed && !ended ? [...entries, sealed] : [...entries];
}

async function openEntries({ source }: Context, { entries }: SessionPlace): Promise<Stored[]> {
  const heads: Stored[] = [];
  for (const { object, trusted } of entries) {
    const bytes = await source.get(object);
    // The ledger has been read once already, with its signatures; what was wrong with an entry was said then.
    const opened = bytes && (await openHead(bytes, undefined));
    if (!bytes || !opened?.bundle || !opened.statement) continue;
    const stamped = stampOf(opened.bundle) !== undefined;
    heads.push({ object, bytes, statement: opened.statement, trusted, stamped });
  }
  return heads;
}

async function openSeal(
  context: Context,
  { folder }: SessionPlace,
): Promise<{ readonly bytes: Bytes; readonly head: Stored | undefined } | undefined> {
  const { source, report, key } = context;
  const object = `${folder}${SEAL_NAME}`;
  const bytes = await source.get(object);
  if (!bytes) return undefined;
  const { bundle, statement, wrong } = await openHead(bytes, key);
  if (wrong) report(wrong.code, object, wrong.message);
  if (bundle) await checkEntry(context, object, bundle, !wrong);
  const stamped = bundle !== undefined && stampOf(bundle) !== undefined;
  return { bytes, head: statement && { object, bytes, statement, trusted: !wrong, stamped } };
}

function checkSeal(
  { report }: Context,
  { session, folder }: SessionPlace,
  seal: Awaited<ReturnType<typeof openSeal>>,
  terminal: Stored | undefined,
): void {
  const object = `${folder}${SEAL_NAME}`;
  if (!seal) {
    if (terminal) report("object_missing", object, `the ledger has the terminal head, in ${terminal.object}`);
    return;
  }
  const { head } = seal;
  const said = head?.statement.predicate.session;
  if (session !== undefined && said !== undefined && said !== session)
    report("head_session", object, `the seal of ${said} lies in the folder of ${session}`);
  if (head && !isTerminal(head.statement.predicate))
    report("head_sequence", object, `a seal of status ${head.statement.predicate.status}`);
  if (terminal && !equal(seal.bytes, terminal.bytes))
    report("seal_differs", object, `not, to the byte, ${terminal.object}`);
}

/** Before the end, a segment may be stored before a head lists it. */
function checkNames({ report }: Context, { folder, names }: SessionPlace, head: Head): void {
  const listed = new Set([SEAL_NAME, ...head.segments.map(({ name }) => name)]);
  const later = isTerminal(head) ? undefined : SEGMENT_NAME;
  for (const name of names)
    if (!listed.has(name) && !later?.test(name))
      report("object_unknown", `${folder}${name}`, "the head does not list it");
}

function reportOpen({ report, now }: Context, object: string, head: Head, folder: string): void {
  const hours = Math.max(0, now - Date.parse(head.madeAt)) / 3_600_000;
  const age = hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(1)} days`;
  const place = folder === "" ? object : folder;
  report(
    "session_open",
    place,
    `no terminal head; the newest, in ${object}, is ${age} old and of status ${head.status}`,
  );
}
