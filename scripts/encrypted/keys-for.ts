/** Where the keys of a place's sessions are. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Source } from "#durable/proof/read/source.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import { type BucketOptions, bucketSource, isBucketUrl } from "#scripts/verify/bucket.ts";
import { folderSource } from "#scripts/verify/folder.ts";
import type { Place } from "#scripts/verify/place.ts";

/** Where it was said, or where `steno fetch` and a directory archive have them. */
export async function keysFor(
  place: Place,
  given: string | undefined,
  options: BucketOptions,
): Promise<Source> {
  if (given !== undefined)
    return isBucketUrl(given) ? bucketSource(given, options).source : folderSource(given);
  if (place.where.kind === "bucket")
    throw new UsageFault("session keys are in a bucket of their own: give --keys s3://…");
  const beside = `${place.root}-keys`;
  return existsSync(join(beside, "keys")) ? folderSource(beside) : place.source;
}
