/** The texts of a body: what a person may have written in it, without what its format needs. */
import type { Reading } from "../reading.ts";

/** As git tells bytes from text: by a NUL among the first so many. */
const BINARY_WITHIN = 8_000;
/** JSON within JSON within JSON … */
const DEPTH_MAX = 64;

export const isBinary = (bytes: Uint8Array): boolean => bytes.subarray(0, BINARY_WITHIN).includes(0);

/** Nothing of what is no text. What does not parse as what it should be is one text. */
export function textsOf(reading: Exclude<Reading, "none">, bytes: Uint8Array): readonly string[] {
  if (isBinary(bytes)) return [];
  const text = new TextDecoder().decode(bytes);
  switch (reading) {
    case "json":
      return jsonTexts(text);
    case "form":
      return [...new URLSearchParams(text).values()].filter(says);
    case "text":
    case "sse":
      return [text].filter(says);
  }
}

/** One value, or one a line. */
function jsonTexts(text: string): readonly string[] {
  const found: string[] = [];
  try {
    collect(JSON.parse(text), found, 0);
    return found;
  } catch {
    // Newline-delimited, or no JSON at all.
  }
  try {
    for (const line of text.split("\n")) if (line.trim() !== "") collect(JSON.parse(line), found, 0);
    return found;
  } catch {
    return [text].filter(says);
  }
}

function collect(value: unknown, found: string[], depth: number): void {
  if (depth > DEPTH_MAX) throw new RangeError("too deep");
  if (typeof value === "string") {
    if (says(value)) found.push(value);
  } else if (typeof value === "object" && value !== null) {
    for (const each of Object.values(value)) collect(each, found, depth + 1);
  }
}

/** Words have letters; what is shorter than a name is none. */
const says = (text: string): boolean => text.length > 1 && /\p{L}/u.test(text);
