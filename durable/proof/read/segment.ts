/** What is read of a session, and what its head says of each stored object. */
import type { SegmentEntry } from "#durable/format/head.ts";
import { type Bytes, sha256, toHex } from "../bytes.ts";
import type { Report } from "../finding.ts";
import { Range } from "../merkle.ts";
import type { Source } from "./source.ts";
import type { Unsealed } from "./unsealed.ts";

/** Where a session's objects are, and who is told what is wrong with them. */
export type Stored = {
  readonly source: Source;
  /** Empty, or ends in a slash. */
  readonly folder: string;
  readonly report: Report;
  /** Opens encrypted segments. Without it only what can be told of ciphertext is looked at. */
  readonly unsealed?: Unsealed | undefined;
};

export type ReadSession = Stored & {
  /** Of the head that is to be believed, in its order. */
  readonly segments: readonly SegmentEntry[];
  /** The head is the session's last: everything the frames point to is stored, and nothing else is. */
  readonly whole: boolean;
};

/** What the head says of a segment's leaves, when it can be used. */
export function declaredRange({ firstFrame = 0, frames = 0, range = [] }: SegmentEntry): Range | undefined {
  try {
    return Range.restore(firstFrame, frames, range);
  } catch {
    // A head with such a range is reported where heads are checked.
    return undefined;
  }
}

/** How a stored object differs from what the head says of it. */
export function describeAltered(stored: Bytes, entry: SegmentEntry): string | undefined {
  if (stored.byteLength !== entry.bytes) return `${stored.byteLength} bytes, the head says ${entry.bytes}`;
  const digest = toHex(sha256(stored));
  return digest === entry.sha256 ? undefined : `sha256 ${digest}, the head says ${entry.sha256}`;
}

/** A stored object, or undefined after saying why not. One that is longer than its head says is not even read. */
export async function openStored(session: Stored, entry: SegmentEntry): Promise<Bytes | undefined> {
  const { source, folder, report } = session;
  const object = `${folder}${entry.name}`;
  const length = (await source.stat(object))?.bytes ?? 0;
  if (length > entry.bytes) {
    report("segment_altered", object, `${length} bytes, the head says ${entry.bytes}`);
    return undefined;
  }
  const bytes = await source.get(object);
  if (!bytes) report("object_missing", object, "the head lists it, the archive does not have it");
  return bytes;
}
