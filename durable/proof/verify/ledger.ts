/** The sequence of all entries: every index there once, each signed by the key; whose each head is, and what else is said. */

import type { Statement } from "#durable/format/head.ts";
import { entryKey } from "#durable/format/layout.ts";
import type { Attested, PredicateOf } from "#durable/format/log/attestation.ts";
import { sha256, toHex } from "../bytes.ts";
import { openSaid } from "../seal.ts";
import { ahead } from "./ahead.ts";
import type { Context } from "./context.ts";
import { checkEntry, openNote } from "./log/entry.ts";
import type { Made } from "./log/retention.ts";
import type { TreeClaims } from "./log/tree.ts";
import type { Erasure } from "./sealed/opener.ts";

/** A place in the ledger whose head could be read. */
export type Entry = {
  readonly index: number;
  readonly object: string;
  readonly trusted: boolean;
  readonly size: SessionSize;
};
/** Of the log's own beginning or end. */
export type Event = { readonly index: number; readonly predicate: PredicateOf<"key-event"> };

/** Of what a head lists: how many frames segments, and bytes of all its segments as they are stored. */
export type SessionSize = { readonly segments: number; readonly bytes: number };

export type Ledger = {
  readonly sessions: ReadonlyMap<string, readonly Entry[]>;
  readonly entries: number;
  /** How many of them the key signed, or at least names. */
  readonly signed: number;
  /** The ledger's name, as most heads have it. */
  readonly origin: string | undefined;
  readonly tree: TreeClaims;
  /** What the log says of itself, trusted entries alone. */
  readonly events: readonly Event[];
  /** Of the daily files of sessions, the same. */
  readonly indexes: readonly PredicateOf<"index">[];
  /** Of every entry that is trusted; empty unless all of them are asked after. */
  readonly made: readonly Made[];
  /** By session, the newest erasure that the key signed. */
  readonly erasures: ReadonlyMap<string, Erasure>;
};

/** Entries that are asked of the source, and their signatures, before their turn: a store answers late, and has no hurry. */
const AT_ONCE = 16;
const PREFIX = "log/entry/";
const NAME = /^log\/entry\/(0|[1-9]\d{0,14})\.sigstore\.json$/;

/** How much of the ledger is asked after: all of it, what was copied of it, or what concerns one session. */
export type Extent = { readonly of: "all" | "copied" } | { readonly of: "session"; readonly session: string };

/** `elsewhere`: sessions of the logs before this one. */
export async function readLedger(
  context: Context,
  extent: Extent,
  elsewhere: ReadonlySet<string> = new Set(),
): Promise<Ledger> {
  const { source, report, key } = context;
  const all = extent.of === "all";
  const indexes: number[] = [];
  for await (const object of source.list(PREFIX)) {
    const match = NAME.exec(object);
    if (match) indexes.push(Number(match[1]));
    else if (all) report("object_unknown", object, "no entry of the ledger has such a name");
  }
  indexes.sort((a, b) => a - b);
  const sessions = new Map<string, Entry[]>();
  const origins = new Map<string, number>();
  const tree: TreeClaims = { leaves: new Map(), claims: [] };
  const said: SaidEntry[] = [];
  const made: Made[] = [];
  const erasures = new Map<string, Erasure>();
  let signed = 0;
  let [next, read] = [0, 0];
  const open = async (index: number) => {
    const bytes = await source.get(entryKey(index));
    const opened = bytes && (await openSaid(bytes, key));
    const [entry] = opened?.bundle?.verificationMaterial.tlogEntries ?? [];
    if (entry) await openNote(context, entry.inclusionProof.checkpoint.envelope);
    return { index, opened };
  };
  for await (const { index, opened } of ahead(AT_ONCE, indexes, open)) {
    context.progress?.({ what: "log", done: ++read, of: indexes.length });
    if (all) reportHole(context, next, index);
    next = index + 1;
    const object = entryKey(index);
    if (!opened) {
      report("object_missing", object, "the archive lists it but does not give it");
      continue;
    }
    const { bundle, statement, attested, wrong } = opened;
    // Whose an unreadable entry is cannot be told; a session that lacks one says so by its own count.
    const about = statement?.predicate.session ?? erasedIn(attested);
    const asked = extent.of !== "session" || about === extent.session;
    if (wrong && asked) report(wrong.code, object, wrong.message);
    const entry = bundle && (asked ? await checkEntry(context, object, bundle, !wrong, index) : undefined);
    if (entry) tree.leaves.set(index, entry.leaf);
    if (entry?.claim) tree.claims.push(entry.claim);
    const before = asked ? statement?.predicate.notBefore : undefined;
    if (before) tree.claims.push({ code: "head_not_before", object, ...before, index });
    if (!wrong || /_(signature|unknown)$/.test(wrong.code)) signed += 1;
    const { madeAt, ...more } = statement?.predicate ?? attested?.predicate ?? {};
    if (madeAt !== undefined && !wrong && all)
      made.push({ index, at: Date.parse(madeAt), ...("retention" in more && { retention: more.retention }) });
    if (attested && all) said.push({ index, attested, trusted: !wrong });
    if (attested?.kind === "erasure" && asked && !wrong) {
      const { session, madeAt, reason, state } = attested.predicate;
      erasures.set(session, { index, at: madeAt, reason, state });
    }
    if (!statement) continue;
    const { session } = statement.predicate;
    const entries = sessions.get(session) ?? [];
    sessions.set(session, entries);
    entries.push({ index, object, trusted: !wrong, size: sizeOf(statement) });
    const origin = originOf(statement);
    origins.set(origin, (origins.get(origin) ?? 0) + 1);
  }
  const [origin] = [...origins].sort((a, b) => b[1] - a[1])[0] ?? [];
  checkSaid(context, said, (session) => sessions.has(session) || elsewhere.has(session));
  const trusted = said.filter((each) => each.trusted);
  const events = trusted.flatMap(({ index, attested }) =>
    attested.kind === "key-event" ? { index, predicate: attested.predicate } : [],
  );
  const listed = trusted.flatMap(({ attested }) => (attested.kind === "index" ? attested.predicate : []));
  return { events, indexes: listed, sessions, entries: indexes.length, signed, origin, tree, made, erasures };
}

const sizeOf = ({ predicate: { segments } }: Statement): SessionSize => ({
  segments: segments.filter(({ frames }) => frames !== undefined).length,
  bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
});
const erasedIn = (attested: Attested | undefined): string | undefined =>
  attested?.kind === "erasure" ? attested.predicate.session : undefined;

type SaidEntry = { readonly index: number; readonly attested: Attested; readonly trusted: boolean };

/** What is no head must be of this log, in its order, and speak of sessions that the log knows. */
function checkSaid(
  { report, log }: Context,
  said: readonly SaidEntry[],
  isKnown: (session: string) => boolean,
): void {
  let policy: string | undefined;
  for (const { index, attested, trusted } of said) {
    if (!trusted) continue;
    const { kind, predicate } = attested;
    const object = entryKey(index);
    if (log && predicate.origin !== log.ed25519.name)
      report("attestation_origin", object, `said in the log ${predicate.origin}`);
    if ("session" in predicate && !isKnown(predicate.session))
      report("attestation_contradicts", object, `speaks of ${predicate.session}, of which there is no head`);
    if (kind !== "policy-change") continue;
    if (predicate.before !== policy)
      report(
        "attestation_contradicts",
        object,
        `the policy set before it was ${predicate.before ?? "none"}; the log says ${policy ?? "none"}`,
      );
    policy = predicate.set;
  }
}

/** A day's file of sessions is a convenience: it may be gone, and must not be another. */
export async function checkIndex(
  { source, report }: Context,
  { objects }: PredicateOf<"index">,
): Promise<void> {
  for (const { name, sha256: digest } of objects) {
    const bytes = /^index\//.test(name) ? await source.get(name) : undefined;
    if (bytes && toHex(sha256(bytes)) !== digest)
      report("index_altered", name, "its SHA-256 is not the one in the log");
  }
}

/** The part of a head's origin that names its ledger. */
export function originOf({ predicate }: Statement): string {
  const { origin } = predicate.head;
  const cut = origin.lastIndexOf("/");
  return cut < 0 ? origin : origin.slice(0, cut);
}

function reportHole({ report }: Context, expected: number, index: number): void {
  if (index === expected) return;
  const last = index - 1 === expected ? "" : ` to ${index - 1}`;
  report("entry_missing", entryKey(expected), `the ledger has a hole: index ${expected}${last}`);
}
