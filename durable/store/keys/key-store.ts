/**
 * Where the keys of encrypted sessions are: apart from the archive, so that they can be deleted (EVIDENCE §5).
 *
 * - `put` replaces; it returns after it has read back what it wrote. Putting again is always safe.
 * - `remove` returns after it has looked and found nothing, not even an older version; of an absent key it does so too.
 * - `get` of an absent key gives undefined. Every failure of the store throws an `ArchiveFault`.
 */
import type { SessionId } from "#durable/format/ids.ts";

export interface KeyStore {
  put(session: SessionId, key: Uint8Array<ArrayBuffer>): Promise<void>;
  get(session: SessionId): Promise<Uint8Array<ArrayBuffer> | undefined>;
  remove(session: SessionId): Promise<void>;
  /** Sessions that have a key, ascending. */
  list(): AsyncIterable<SessionId>;
}
