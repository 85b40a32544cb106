/** That the store keeps the log as long as its heads promise: entries that are no heads, full tiles, checkpoints. */
import { entryKey } from "#durable/format/layout.ts";
import { readTilePath, TILE } from "../../log/tile.ts";
import type { Context } from "../context.ts";
import { checkKept } from "../retention.ts";

/** What an entry says of its own time, and, when it is a head, of what was asked of the store. */
export type Made = {
  readonly index: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly retention?: { readonly mode: "COMPLIANCE" | "none"; readonly days: number };
};

/** `made`: every trusted entry, by index. An object is promised what the newest head before it was. */
export async function checkLogRetention(context: Context, made: readonly Made[]): Promise<void> {
  const { source } = context;
  for (const entry of made)
    if (!entry.retention) await check(context, entryKey(entry.index), entry.at, promiseAt(made, entry.index));
  for await (const object of source.list("log/tile/")) {
    const place = readTilePath(object.slice("log/".length));
    if (!place || place.width < TILE) continue;
    const height = place.level === "entries" ? 0 : place.level;
    const last = (place.n + 1) * TILE ** (height + 1) - 1;
    const newest = made.findLast(({ index }) => index <= last);
    if (newest) await check(context, object, newest.at, promiseAt(made, last));
  }
  for await (const object of source.list("log/checkpoints/")) {
    const [, size, at] = /\/(\d+)-(\d+)(?:\.tsr)?$/.exec(object) ?? [];
    if (at !== undefined) await check(context, object, Number(at) * 1000, promiseAt(made, Number(size) - 1));
  }
}

function promiseAt(made: readonly Made[], index: number): Made["retention"] {
  const heads = made.filter(({ retention }) => retention !== undefined);
  return (heads.findLast((head) => head.index <= index) ?? heads[0])?.retention;
}

async function check(
  context: Context,
  object: string,
  at: number,
  retention: Made["retention"],
): Promise<void> {
  if (retention) await checkKept(context, object, at, retention);
}
