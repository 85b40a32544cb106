/** What the analyzer finds in the files of a push, beside what the detectors found. */
import { type Analysis, digestOf, PRESIDIO } from "#workers/mask/analysis/analysis.ts";
import type { Found } from "#workers/mask/detect.ts";
import type { InObject, ScannedContent } from "./content-scan.ts";
import { keyOf } from "./new-findings.ts";

/** Findings of one file that are kept. */
const FILE_MAX = 200;

/** What it was not asked about counts as not looked into. */
export async function analysed(scanned: ScannedContent, analysis: Analysis): Promise<ScannedContent> {
  const files = [...scanned.texts];
  const { found, whole } = await analysis.of(files.map(([, text]) => text));
  const objects = new Map<string, InObject>(scanned.objects);
  const words = new Map<string, string>();
  for (const [i, [id, text]] of files.entries()) {
    const own: Found[] = [];
    for (const { entity, start, end } of (found[i] ?? []).slice(0, FILE_MAX)) {
      const word = text.slice(start, end);
      const one: Found = {
        detector: PRESIDIO,
        rule: entity,
        severity: analysis.severity,
        off: bytesOf(text.slice(0, start)),
        len: bytesOf(word),
        sha256: await digestOf(word),
      };
      words.set(keyOf(one), word);
      own.push(one);
    }
    if (own.length === 0) continue;
    const known = objects.get(id);
    objects.set(id, { kind: known?.kind ?? "blob", found: [...(known?.found ?? []), ...own] });
  }
  const unasked = whole ? 0 : files.reduce((sum, [, text]) => sum + text.length, 0);
  const { more, texts, unkept } = scanned;
  return { objects, more, texts, unkept, words, unscanned: scanned.unscanned + unkept + unasked };
}

const bytesOf = (text: string): number => new TextEncoder().encode(text).byteLength;
