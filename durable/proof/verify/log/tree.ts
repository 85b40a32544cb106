/** The whole log: that all its entries make every root it ever signed, that no entry is gone, and that its tiles are its. */
import { CHECKPOINT, checkpointKey, entryKey } from "#durable/format/layout.ts";
import { type Bytes, concat, readUtf8, toBase64 } from "../../bytes.ts";
import type { FindingCode } from "../../finding.ts";
import { Range } from "../../merkle.ts";
import type { Context } from "../context.ts";
import { checkNote } from "./entry.ts";
import { type Cosigned, checkQuorum } from "./policies.ts";
import { checkTiles, tileLeaf } from "./tiles.ts";
import { checkStamped, type Stamped } from "./timestamps.ts";

/** A checkpoint, as an auditor keeps it. */
export type LogState = { readonly origin: string; readonly size: number; readonly rootHash: string };

/** That the first `size` entries have a root. */
export type Claim = LogState & {
  /** What it is when they have not. */
  readonly code: "checkpoint_root" | "head_not_before" | "log_not_extended";
  readonly object: string;
  /** Of the entry that says so, when it can only speak of entries before it. */
  readonly index?: number;
  /** Of a checkpoint that a bundle brings: when it was signed, in seconds since 1970. */
  readonly at?: number;
};

export type TreeClaims = { readonly leaves: Map<number, Bytes>; readonly claims: Claim[] };

/** Returns the newest checkpoint when all entries make it and nothing speaks against it. */
export async function verifyTree(
  context: Context,
  { leaves: found, claims }: TreeClaims,
  since: LogState | undefined,
): Promise<LogState | undefined> {
  const { report } = context;
  const newest = await readNewest(context);
  const cosigned: Cosigned[] = [];
  const stored = await readStored(context, cosigned);
  checkQuorum(context, cosigned);
  reportUnstored(context, claims, stored);
  const all = [...claims, ...stored, ...(newest ? [newest] : [])];
  if (since) all.push({ ...since, code: "log_not_extended", object: CHECKPOINT });
  const signed = all.filter(({ code }) => code === "checkpoint_root");
  const size = Math.max(0, ...signed.map((claim) => claim.size));
  if (newest && newest.size < size)
    report("checkpoint_behind", CHECKPOINT, `of ${newest.size} entries; the log has signed one of ${size}`);
  const last = Math.max(-1, ...found.keys());
  if (last + 1 < size)
    report("entry_missing", entryKey(last + 1), `the log has ${size} entries, the archive ${last + 1}`);
  const leaves = await wholeLeaves(context, found, size);
  const roots = rootsOf(leaves, new Set(all.map((claim) => claim.size)));
  let sound = newest !== undefined && newest.size === size && leaves.byteLength === size * 32;
  for (const claim of all) sound = checkClaim(context, claim, roots) && sound;
  if (newest && leaves.byteLength === size * 32) await checkTiles(context, leaves, newest.size);
  if (!sound || !newest) return undefined;
  return { origin: newest.origin, size: newest.size, rootHash: newest.rootHash };
}

function checkClaim({ report, log }: Context, claim: Claim, roots: ReadonlyMap<number, string>): boolean {
  const { code, object, origin, size, rootHash, index } = claim;
  const root = roots.get(size);
  const said: [FindingCode, string] | undefined =
    log && origin !== log.ed25519.name
      ? [code, `speaks of the log ${origin}`]
      : index !== undefined && size > index
        ? [code, `names a checkpoint of ${size} entries, and is itself entry ${index}`]
        : root !== undefined && root !== rootHash
          ? [code, `the first ${size} entries do not have its root`]
          : root === undefined && code === "log_not_extended"
            ? [code, `the auditor has seen ${size} entries; there are fewer`]
            : undefined;
  if (said) report(said[0], object, said[1]);
  return !said && root !== undefined;
}

async function readNewest(context: Context): Promise<Claim | undefined> {
  const bytes = await context.source.get(CHECKPOINT);
  if (!bytes) {
    context.report("checkpoint_missing", CHECKPOINT, "that the log ends where it ends cannot be told");
    return undefined;
  }
  const opened = await checkNote(context, CHECKPOINT, readUtf8(bytes) ?? "");
  if (!opened) return undefined;
  const { origin, size, root } = opened.checkpoint;
  return { code: "checkpoint_root", object: CHECKPOINT, origin, size, rootHash: toBase64(root) };
}

const NAME = /^log\/checkpoints\/(0|[1-9]\d{0,14})-([1-9]\d{0,14})(\.tsr)?$/;

/** All checkpoints there ever were, as far as they are kept: a fork or a step back shows in them. */
async function readStored(context: Context, cosigned: Cosigned[]): Promise<Claim[]> {
  const { source, report } = context;
  const claims: Claim[] = [];
  const notes: Stamped[] = [];
  const tokens = new Set<string>();
  for await (const object of source.list("log/checkpoints/")) {
    const [, size, at, token] = NAME.exec(object) ?? [];
    const bytes = size === undefined || token !== undefined ? undefined : await source.get(object);
    if (token !== undefined) tokens.add(object);
    if (!bytes) {
      if (token === undefined) report("object_unknown", object, "no checkpoint has such a name");
      continue;
    }
    notes.push({ object, size: Number(size), at: Number(at), note: bytes });
    const opened = await checkNote(context, object, readUtf8(bytes) ?? "");
    if (!opened) continue;
    const { checkpoint } = opened;
    if (checkpoint.size !== Number(size) || (context.log && opened.at !== Number(at)))
      report(
        "checkpoint_malformed",
        object,
        `of ${checkpoint.size} entries at ${opened.at}: not as its name says`,
      );
    cosigned.push({ size: Number(size), at: Number(at), object, by: opened.cosigned });
    const { origin, root } = checkpoint;
    claims.push({ code: "checkpoint_root", object, origin, size: checkpoint.size, rootHash: toBase64(root) });
  }
  await checkStamped(context, notes, tokens);
  return claims;
}

/** A checkpoint is stored before the bundles that bring it. */
function reportUnstored({ report }: Context, claims: readonly Claim[], stored: readonly Claim[]): void {
  const known = new Set(stored.map(({ object }) => object));
  for (const { object, size, at } of claims) {
    const key = at === undefined ? undefined : checkpointKey(size, at);
    if (key === undefined || known.has(key)) continue;
    known.add(key);
    report("object_missing", key, `it is the checkpoint in ${object}`);
  }
}

/** Leaves of entries [0, size), as far as they are known without a hole: of one that is gone, a tile may still tell. */
async function wholeLeaves(
  context: Context,
  found: ReadonlyMap<number, Bytes>,
  size: number,
): Promise<Bytes> {
  const leaves: Bytes[] = [];
  for (let index = 0; index < size; index++) {
    const leaf = found.get(index) ?? (await tileLeaf(context, index, size));
    if (!leaf) break;
    leaves.push(leaf);
  }
  return concat(leaves);
}

function rootsOf(leaves: Bytes, sizes: ReadonlySet<number>): Map<number, string> {
  const roots = new Map<number, string>();
  const range = new Range();
  for (let size = 0; size * 32 <= leaves.byteLength; size++) {
    if (sizes.has(size)) roots.set(size, toBase64(range.root()));
    range.push(leaves.subarray(size * 32, size * 32 + 32));
  }
  return roots;
}
