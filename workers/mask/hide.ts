/** Hides in text that is all there, and is shown by lines. */
import { replacement } from "#durable/format/mask/finding.ts";
import { Detection, type Found } from "./detect.ts";
import type { Rules } from "./pattern/scan.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/** What is found in more than one line is hidden in each of them, so that there are as many lines as before. */
export function hide(text: string, rules: Rules): string {
  const bytes = encoder.encode(text);
  const all: Found[] = [];
  const detection = new Detection(rules, (found) => all.push(found));
  detection.push(bytes);
  detection.end();
  if (all.length === 0) return text;
  const shown: string[] = [];
  let at = 0;
  for (const { detector, off, len } of all) {
    shown.push(decoder.decode(bytes.subarray(at, off)));
    at = off + len;
    const lines = decoder.decode(bytes.subarray(off, at)).split("\n");
    shown.push(lines.map((line) => (line === "" ? "" : replacement(detector))).join("\n"));
  }
  return [...shown, decoder.decode(bytes.subarray(at))].join("");
}
