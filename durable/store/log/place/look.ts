/** Whether the archive, and the keys that are configured, are those of a ledger's tables. */
import { CHECKPOINT } from "#durable/format/layout.ts";
import { equal, readUtf8 } from "#durable/proof/bytes.ts";
import { type LogKeys, openCheckpoint } from "#durable/proof/log/checkpoint.ts";
import { writeVkey } from "#durable/proof/log/note.ts";
import type { Archive } from "../../archive.ts";
import type { LedgerRows } from "../rows.ts";

/** Whose log it is: never changes, since what was signed under another name or key would not be extended. */
export const nameOf = ({ ed25519, mlDsa }: LogKeys): string => `${writeVkey(ed25519)}\n${writeVkey(mlDsa)}`;

/** Why the ledger must not sign; undefined when nothing speaks against it. Throws when the archive cannot be read. */
export async function contradiction(
  archive: Archive,
  rows: LedgerRows,
  keys: LogKeys,
): Promise<string | undefined> {
  const own = rows.fact("log");
  if (own !== undefined && own !== nameOf(keys))
    return "the ledger was made under another origin, or with other log keys";
  const stored = await archive.get(CHECKPOINT);
  if (!stored) return undefined;
  const opened = await openCheckpoint(readUtf8(stored) ?? "", keys);
  if (typeof opened === "string") return `the archive's checkpoint is ${opened}`;
  if (opened.wrong) return `the archive's checkpoint: ${opened.wrong.message}`;
  const { size, root } = opened.checkpoint;
  const known = [rows.pending(), rows.published()];
  const newest = Math.max(...known.map((row) => row?.size ?? 0));
  if (size > newest) return `the archive's checkpoint has ${size} entries, the ledger signed ${newest}`;
  if (known.some((row) => row?.size === size && !equal(row.root, root)))
    return `the archive's checkpoint of ${size} entries has another root`;
  return undefined;
}
