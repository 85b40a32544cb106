/** The tables of steno.toml about masking, and what each key allows that the whole does not. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import * as v from "valibot";
import { SEVERITIES } from "#durable/format/decision.ts";
import { DETECTORS } from "#durable/format/mask/finding.ts";
import type { MaskSettings } from "#workers/contract/settings.ts";
import { PRESIDIO } from "#workers/mask/analysis/analysis.ts";
import { readPattern } from "#workers/mask/detectors.ts";
import { PatternError } from "#workers/mask/pattern/parse.ts";
import { reason } from "./finding.ts";
import type { KeyPath } from "./locate.ts";
import { nearest } from "./nearest.ts";
import { type Remote, WebUrl, whole, word } from "./values.ts";

const IN_UNIT = "must be from 0 to 1";
const PATTERNS_MAX = 500;
const WORDS_MAX = 10_000;
/** Letters of one word of a dictionary. */
const WORD_MAX = 200;

const name = v.pipe(
  v.string(),
  v.regex(/^[a-z][a-z0-9-]{0,62}$/, "must be 1 to 63 of a-z 0-9 -, beginning with a letter"),
);
const severity = v.optional(v.picklist(SEVERITIES, "must be low, medium, high or critical"), "medium");

export const maskPattern = v.object({ name, pattern: word, severity });
export const maskDictionary = v.object({
  name,
  words: v.exactOptional(v.array(word)),
  file: v.exactOptional(word),
  severity,
});
/** An analyzer of the operator's own that speaks Presidio's REST API. */
export const maskPresidio = v.object({
  url: WebUrl,
  language: v.optional(word, "en"),
  entities: v.optional(v.array(word), []),
  score: v.optional(v.pipe(v.number(), v.minValue(0, IN_UNIT), v.maxValue(1, IN_UNIT)), 0.5),
  severity,
  max_characters: v.optional(whole(1, 4_194_304), 262_144),
  timeout_seconds: v.optional(whole(1, 60), 5),
  when_down: v.optional(v.picklist(["refuse", "pass"], 'must be "refuse" or "pass"'), "refuse"),
});
export const mask = v.object({
  detectors: v.optional(v.array(word), []),
  patterns: v.optional(
    v.pipe(v.array(maskPattern), v.maxLength(PATTERNS_MAX, `must not be more than ${PATTERNS_MAX}`)),
    [],
  ),
  dictionaries: v.optional(v.array(maskDictionary), []),
  presidio: v.exactOptional(maskPresidio),
});
type Mask = v.InferOutput<typeof mask>;

type Problem = { readonly path: KeyPath; readonly text: string; readonly mild?: true };

/** `connections` are the detectors that each connection names. */
export function* maskProblems(
  { detectors, patterns, dictionaries }: Mask,
  connections: readonly (readonly string[])[],
  base: string,
): Generator<Problem> {
  const own = [
    ...patterns.map((one, i) => ({ name: one.name, path: ["mask", "patterns", i] })),
    ...dictionaries.map((one, i) => ({ name: one.name, path: ["mask", "dictionaries", i] })),
  ];
  for (const [i, one] of own.entries()) {
    const taken =
      [...DETECTORS, PRESIDIO].includes(one.name) || own.findIndex((other) => other.name === one.name) < i;
    if (taken) yield { path: [...one.path, "name"], text: `there is already a detector named "${one.name}"` };
  }
  for (const [i, { pattern }] of patterns.entries()) {
    const wrong = patternProblem(pattern);
    if (wrong !== undefined) yield { path: ["mask", "patterns", i, "pattern"], text: `the pattern ${wrong}` };
  }
  for (const [i, one] of dictionaries.entries()) {
    const words = wordsOf(one, base);
    if ("no" in words) yield { path: ["mask", "dictionaries", i], text: words.no };
  }
  const known = [...DETECTORS, ...own.map((one) => one.name)];
  const named = [
    ...detectors.map((text) => ({ text, path: ["mask", "detectors"] as KeyPath })),
    ...connections.flatMap((all, i) =>
      all.map((text) => ({ text, path: ["connections", i, "mask"] as KeyPath })),
    ),
  ];
  for (const { text, path } of named) {
    if (known.includes(text)) continue;
    if (text === PRESIDIO) {
      yield {
        path,
        text: `"${PRESIDIO}" hides nothing, since bodies do not wait for it: deny or hold by findings`,
      };
      continue;
    }
    const near = nearest(text, known);
    yield {
      path,
      text: `unknown detector "${text}"${near === undefined ? "" : `, did you mean "${near}"?`}`,
    };
  }
  for (const { name: unused, path } of own)
    if (!named.some(({ text }) => text === unused))
      yield {
        path,
        text: `"${unused}" is in no list of detectors: it hides only where a policy names it`,
        mild: true,
      };
}

function patternProblem(pattern: string): string | undefined {
  try {
    readPattern(pattern);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof PatternError) return thrown.message;
    throw thrown;
  }
}

type Words = { readonly words: readonly string[] } | { readonly no: string };

/** A file has one word or phrase a line; empty lines, and those that begin with `#`, say nothing. */
function wordsOf({ words, file }: Mask["dictionaries"][number], base: string): Words {
  if ((words === undefined) === (file === undefined))
    return { no: "a dictionary has either words or a file" };
  let found = words ?? [];
  if (file !== undefined) {
    try {
      found = readFileSync(resolve(base, file), "utf8")
        .split(/\r?\n/)
        .map((line) => line.trim())
        .filter((line) => line !== "" && !line.startsWith("#"));
    } catch (thrown) {
      return { no: `file: cannot be read: ${reason(thrown)}` };
    }
  }
  if (found.length === 0) return { no: "a dictionary without words" };
  if (found.length > WORDS_MAX) return { no: `a dictionary of more than ${WORDS_MAX} words` };
  const wrong = found.find((one) => one.trim().length < 2 || one.length > WORD_MAX);
  return wrong === undefined
    ? { words: found }
    : { no: `"${wrong.slice(0, 40)}" has not 2 to ${WORD_MAX} letters` };
}

/** `maskProblems` has refused what cannot be read. */
export function maskSettings(file: Mask, base: string): MaskSettings {
  const { detectors, patterns, dictionaries, presidio } = file;
  return {
    ...(presidio && {
      analyzer: {
        severity: presidio.severity,
        max: presidio.max_characters,
        whenDown: presidio.when_down,
      },
    }),
    detectors,
    patterns,
    dictionaries: dictionaries.map((one) => {
      const words = wordsOf(one, base);
      if ("no" in words) throw new Error(words.no);
      return { name: one.name, severity: one.severity, words: [...words.words] };
    }),
  };
}

/** What egress needs to ask it. */
export type PresidioSettings = {
  readonly url: Remote;
  readonly language: string;
  readonly entities: readonly string[];
  readonly score: number;
  readonly timeoutSeconds: number;
};

export function presidioSettings({ presidio }: Mask): PresidioSettings | undefined {
  if (!presidio) return undefined;
  const { url, language, entities, score, timeout_seconds: timeoutSeconds } = presidio;
  return { url, language, entities, score, timeoutSeconds };
}
