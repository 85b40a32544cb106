/**
 * The archive: where sealed sessions go. One port, two implementations (S3 with Object Lock, a directory).
 *
 * What implementers promise:
 * - `put` creates and never overwrites. When the key exists with the same bytes it succeeds (a repeated put after
 *   a crash or a lost reply); with other bytes it throws `ArchiveConflict`, and nothing was changed.
 * - `put` returns only after it has read back size, SHA-256 and, when `locked`, the retention that was asked for.
 * - A failed `put` throws; whether the object was kept is then unknown, and calling again is safe.
 * - `get`, `stat` of an absent key give undefined; any other failure throws.
 * - Nothing ever deletes.
 */
export interface Archive {
  /** What the head says of retention: `COMPLIANCE` only where the store enforces it. */
  readonly retention: { readonly mode: "COMPLIANCE" | "none"; readonly days: number };
  put(key: string, bytes: Uint8Array<ArrayBuffer>, options: { readonly locked: boolean }): Promise<Stored>;
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  stat(key: string): Promise<Stat | undefined>;
  /** Keys below a prefix, ascending. */
  list(prefix: string): AsyncIterable<string>;
}

export type Stored = { readonly key: string; readonly bytes: number; readonly sha256: string };

export type Stat = {
  readonly bytes: number;
  /** Milliseconds since 1970; absent when the object is not locked. */
  readonly retainUntil?: number;
  readonly mode?: string;
};

/** The key holds other bytes than ours. Never retried: somebody has to look. */
export class ArchiveConflict extends Error {
  override readonly name = "ArchiveConflict";
}

/** The store did not do what was asked, or what it says it did does not hold. Retried from the outbox. */
export class ArchiveFault extends Error {
  override readonly name = "ArchiveFault";
}
