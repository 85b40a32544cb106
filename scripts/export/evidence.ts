/** What a session's evidence consists of, apart from everybody else's: its objects, its entries of the log, the keys. */
import type { SessionId } from "#durable/format/ids.ts";
import { CHECKPOINT, SHARDS, sessionFolder, shardFolder } from "#durable/format/layout.ts";
import type { Bytes } from "#durable/proof/bytes.ts";
import type { Source } from "#durable/proof/read/source.ts";
import { openHead } from "#durable/proof/seal.ts";
import { isKey } from "#durable/store/key.ts";

/** By archive key. */
export type Evidence = ReadonlyMap<string, Bytes>;

/** Throws when the source fails, holds nothing of the session, or more than `most` bytes of it. */
export async function collectEvidence(source: Source, session: SessionId, most: number): Promise<Evidence> {
  const found = new Map<string, Bytes>();
  let size = 0;
  const take = async (key: string, bytes?: Bytes) => {
    // The store is not trusted: whoever unpacks the page again must not be led out of a directory.
    if (!isKey(key)) return;
    const stored = bytes ?? (await source.get(key));
    if (!stored) return;
    size += stored.byteLength;
    if (size > most) throw new TooLarge(session, most);
    found.set(key, stored);
  };
  const folder = sessionFolder(session);
  for await (const key of source.list(folder)) {
    const length = (await source.stat(key))?.bytes ?? 0;
    if (size + length > most) throw new TooLarge(session, most);
    await take(key);
  }
  if (found.size === 0) throw new Error(`${session} is not there`);
  for (const log of await logsIn(source)) {
    for await (const key of source.list(`${log}trust/`)) await take(key);
    for await (const key of source.list(`${log}log/entry/`)) {
      const bytes = await source.get(key);
      const head = bytes && (await openHead(bytes, undefined)).statement?.predicate;
      if (head?.session === session) await take(key, bytes);
    }
    await take(`${log}${CHECKPOINT}`);
  }
  return found;
}

/** The folders of all logs of the archive; the first one's is its root. */
async function logsIn(source: Source): Promise<readonly string[]> {
  const folders = new Set([""]);
  for await (const key of source.list(SHARDS)) {
    const [, origin] = /^shards\/([^/]+)\/./.exec(key) ?? [];
    if (origin !== undefined) folders.add(shardFolder(origin));
  }
  return [...folders];
}

/** The one page would be larger than a browser opens gladly: the session is verified where it is instead. */
export class TooLarge extends Error {
  override readonly name = "TooLarge";

  constructor(session: SessionId, most: number) {
    super(
      `${session} holds more than ${Math.floor(most / 1024 / 1024)} MiB, too much for one page: run steno verify on the directory instead`,
    );
  }
}
