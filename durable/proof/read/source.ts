/** The read half of an archive, as a verifier needs it. `Archive` is one; so is a folder on disk, or a page's files. */
import type { Bytes } from "../bytes.ts";

export interface Source {
  /** The whole object; undefined when there is none. */
  get(key: string): Promise<Bytes | undefined>;
  /** Keys below a prefix, ascending. */
  list(prefix: string): AsyncIterable<string>;
  stat(key: string): Promise<ObjectStat | undefined>;
}

export type ObjectStat = {
  readonly bytes: number;
  /** Milliseconds since 1970; absent when the object is not locked. */
  readonly retainUntil?: number;
  readonly mode?: string;
  /** Another version, or a delete marker, lies over the object in the store. */
  readonly covered?: boolean;
};
