/** The sequence of all heads: every index there once, every entry signed by the key, and whose it is. */
import type { Statement } from "#durable/format/head.ts";
import { entryKey } from "#durable/format/layout.ts";
import { openHead } from "../seal.ts";
import type { Context } from "./context.ts";
import { checkEntry } from "./log/entry.ts";
import type { TreeClaims } from "./log/tree.ts";

/** A place in the ledger whose head could be read. */
export type Entry = { readonly index: number; readonly trusted: boolean };

export type Ledger = {
  readonly sessions: ReadonlyMap<string, readonly Entry[]>;
  readonly entries: number;
  /** How many of them the key signed, or at least names. */
  readonly signed: number;
  /** The ledger's name, as most heads have it. */
  readonly origin: string | undefined;
  readonly tree: TreeClaims;
};

const PREFIX = "log/entry/";
const NAME = /^log\/entry\/(0|[1-9]\d{0,14})\.sigstore\.json$/;

/** How much of the ledger is asked after: all of it, what was copied of it, or what concerns one session. */
export type Extent = { readonly of: "all" | "copied" } | { readonly of: "session"; readonly session: string };

export async function readLedger(context: Context, extent: Extent): Promise<Ledger> {
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
  let signed = 0;
  for (const [i, index] of indexes.entries()) {
    if (all) reportHole(context, i === 0 ? 0 : (indexes[i - 1] ?? 0) + 1, index);
    const object = entryKey(index);
    const bytes = await source.get(object);
    if (!bytes) {
      report("object_missing", object, "the archive lists it but does not give it");
      continue;
    }
    const { bundle, statement, wrong } = await openHead(bytes, key);
    // Whose an unreadable entry is cannot be told; a session that lacks one says so by its own count.
    const asked = extent.of !== "session" || statement?.predicate.session === extent.session;
    if (wrong && asked) report(wrong.code, object, wrong.message);
    const entry = bundle && (asked ? await checkEntry(context, object, bundle, !wrong, index) : undefined);
    if (entry) tree.leaves.set(index, entry.leaf);
    if (entry?.claim) tree.claims.push(entry.claim);
    const before = asked ? statement?.predicate.notBefore : undefined;
    if (before) tree.claims.push({ code: "head_not_before", object, ...before, index });
    if (wrong?.code !== "head_key" && wrong?.code !== "head_malformed") signed += 1;
    if (!statement) continue;
    const { session } = statement.predicate;
    const entries = sessions.get(session) ?? [];
    sessions.set(session, entries);
    entries.push({ index, trusted: !wrong });
    const origin = originOf(statement);
    origins.set(origin, (origins.get(origin) ?? 0) + 1);
  }
  const [origin] = [...origins].sort((a, b) => b[1] - a[1])[0] ?? [];
  return { sessions, entries: indexes.length, signed, origin, tree };
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
