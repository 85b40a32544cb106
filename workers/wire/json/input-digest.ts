/** A tool and what it is given, as a digest: a hook and the call it speaks of have the same one. */
import { createHash } from "node:crypto";
import { ordered } from "./ordered.ts";
import type { Json } from "./strict.ts";

/** SHA-256, lower-case hex. To be keyed before it is kept: arguments may be few. */
export const inputDigest = (tool: string, given: Json | undefined): string =>
  createHash("sha256")
    .update(JSON.stringify([tool, ordered(given ?? {})]))
    .digest("hex");
