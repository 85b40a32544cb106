/** Bodies through the maskers, with a few rules. */
import type { Mask } from "#durable/format/mask/finding.ts";
import { Detectors } from "#workers/mask/detectors.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import { maskerFor, type Reading } from "#workers/mask/reading.ts";

export const rules = new Detectors({
  detectors: ["secrets", "email", "word"],
  patterns: [{ name: "word", pattern: "(?i)\\bhush[a-z]{0,6} ?hush\\b|\\bnaïve\\b", severity: "low" }],
  dictionaries: [],
}).choose() as Rules;
export const KEY = `ghp_${"a1B2".repeat(9)}`;

export type Passed = { readonly text: string; readonly masks: readonly Mask[] };

/** A body in chunks, as what comes out and what was hidden. */
export function passed(reading: Exclude<Reading, "none">, chunks: readonly Uint8Array[]): Passed {
  const masker = maskerFor(reading, rules);
  const parts: Uint8Array[] = [];
  const masks: Mask[] = [];
  for (const chunk of chunks) {
    // The next chunk may overwrite it.
    const own = chunk.slice();
    parts.push(masker.push(own));
    own.fill(0x2a);
    masks.push(...masker.masks());
  }
  parts.push(masker.end());
  masks.push(...masker.masks());
  return { text: Buffer.concat(parts).toString(), masks: masks.toSorted((a, b) => a.off - b.off) };
}
