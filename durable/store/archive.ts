/**
 * The archive: where sealed sessions go. One port, two implementations (S3 with Object Lock, a directory).
 *
 * What implementers promise:
 * - `put` creates and never overwrites. When the key exists with the same bytes it succeeds (a repeated put after
 *   a crash or a lost reply); with other bytes it throws `ArchiveConflict`, and what the key holds is unchanged.
 *   Of several writers with different bytes at most one succeeds, and its bytes are what `get` gives from then on.
 * - `put` returns only after it has read back size, SHA-256 and, when `locked` and the mode is COMPLIANCE, a
 *   retention of at least `days` from now.
 * - `replace` is for the keys that are replaced (`key.ts`) and for no other, and `put` is for all others: what it wrote
 *   last is what `get` and `stat` give. It returns only after it has read that back. Nothing locks it. One writer a key.
 * - A failed `put` or `replace` throws; whether the object was kept is then unknown, and calling again is safe.
 * - `get`, `stat` of an absent key give undefined; any other failure throws.
 * - A call that the store does not finish in time throws `ArchiveFault`. So does every other failure of the store.
 * - A key that is not an archive key (`key.ts`) throws a RangeError: a bug, not a fault of the store.
 * - Nothing ever deletes; a store that keeps versions keeps those of a replaced key too.
 */
export interface Archive {
  /** What the head says of retention: `COMPLIANCE` only where the store enforces it. */
  readonly retention: { readonly mode: "COMPLIANCE" | "none"; readonly days: number };
  put(key: string, bytes: Uint8Array<ArrayBuffer>, options: { readonly locked: boolean }): Promise<Stored>;
  replace(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<Stored>;
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  stat(key: string): Promise<Stat | undefined>;
  /** Sets or lifts the store's own legal hold on an object; absent where the store has none. */
  readonly legalHold?: (key: string, on: boolean) => Promise<void>;
  /** Keys that begin with a prefix (any string prefix of a key, or empty), each once, ascending by byte. */
  list(prefix: string): AsyncIterable<string>;
}

export type Stored = { readonly key: string; readonly bytes: number; readonly sha256: string };

export type Stat = {
  readonly bytes: number;
  /** Milliseconds since 1970; absent when the object is not locked. */
  readonly retainUntil?: number;
  readonly mode?: string;
  /** Who asks the store for the key alone gets something else: another version, or nothing, lies over the object. */
  readonly covered?: boolean;
};

/** The key holds other bytes than ours. Never retried: somebody has to look. */
export class ArchiveConflict extends Error {
  override readonly name = "ArchiveConflict";
}

/** The store did not do what was asked, or what it says it did does not hold. Retried from the outbox. */
export class ArchiveFault extends Error {
  override readonly name = "ArchiveFault";
}
