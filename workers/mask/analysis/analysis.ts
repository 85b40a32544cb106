/** What the analyzer finds in texts, each of which it is asked about once. */
import type { Severity } from "#durable/format/decision.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Analyzer, Recognised } from "#workers/contract/analyzer.ts";
import type { MaskSettings } from "#workers/contract/settings.ts";

/** What policies call it. */
export const PRESIDIO = "presidio";

/** Between texts that are asked about at once; nothing that reaches across it counts. */
const BETWEEN = "\n\n";
/** Texts whose answers are remembered: a conversation is sent again with each turn of it. */
const REMEMBERED = 4_096;

type Settings = NonNullable<MaskSettings["analyzer"]>;

/** A part of one text, in UTF-16 code units. */
export type Entity = { readonly entity: string; readonly start: number; readonly end: number };

export type Analysed = {
  /** By text, in the order of the question. */
  readonly found: readonly (readonly Entity[])[];
  /** False when the analyzer was not asked about all of them: they are too long, or it does not answer. */
  readonly whole: boolean;
};

export class Analysis {
  readonly severity: Severity;
  /** UTF-16 code units of one request or push that it is asked about. */
  readonly max: number;
  readonly #analyzer: Analyzer;
  readonly #passes: boolean;
  readonly #known = new Map<string, readonly Entity[]>();

  constructor(analyzer: Analyzer, { severity, max, whenDown }: Settings) {
    this.#analyzer = analyzer;
    this.severity = severity;
    this.max = max;
    this.#passes = whenDown === "pass";
  }

  /** Throws `Refusal` when there is no answer and the configuration does not let that pass. */
  async of(texts: readonly string[]): Promise<Analysed> {
    const digests = await Promise.all(texts.map(digestOf));
    const answers = new Map<string, readonly Entity[]>();
    const asked: { readonly digest: string; readonly text: string }[] = [];
    let room = this.max;
    let whole = true;
    for (const [i, text] of texts.entries()) {
      const digest = digests[i] ?? "";
      if (answers.has(digest) || asked.some((one) => one.digest === digest)) continue;
      const known = this.#recall(digest);
      if (known) answers.set(digest, known);
      else if (text.length > room) whole = false;
      else {
        room -= text.length + BETWEEN.length;
        asked.push({ digest, text });
      }
    }
    if (asked.length > 0) {
      const found = await this.#ask(asked.map(({ text }) => text));
      whole &&= found !== undefined;
      for (const [i, { digest }] of asked.entries()) {
        const entities = found?.[i];
        if (!entities) continue;
        answers.set(digest, entities);
        this.#remember(digest, entities);
      }
    }
    return { found: digests.map((digest) => answers.get(digest) ?? []), whole };
  }

  async #ask(texts: readonly string[]): Promise<readonly (readonly Entity[])[] | undefined> {
    const text = texts.join(BETWEEN);
    const answer = await this.#analyzer.analyze(text);
    if ("ok" in answer) return split(texts, unitsOf(text, answer.ok));
    const { code, message } = answer.no;
    console.error(JSON.stringify({ level: "alert", code: "analyzer_unavailable", cause: message }));
    if (this.#passes) return undefined;
    throw new Refusal(code, message);
  }

  #recall(digest: string): readonly Entity[] | undefined {
    const known = this.#known.get(digest);
    if (known) {
      this.#known.delete(digest);
      this.#known.set(digest, known);
    }
    return known;
  }

  #remember(digest: string, entities: readonly Entity[]): void {
    this.#known.set(digest, entities);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED) break;
      this.#known.delete(oldest);
    }
  }
}

/** From code points to UTF-16 code units. */
function unitsOf(text: string, recognised: readonly Recognised[]): readonly Entity[] {
  const wanted = new Set(recognised.flatMap(({ start, end }) => [start, end]));
  const units = new Map<number, number>();
  let point = 0;
  let unit = 0;
  for (const character of text) {
    if (wanted.has(point)) units.set(point, unit);
    point += 1;
    unit += character.length;
  }
  units.set(point, unit);
  return recognised.map(({ entity, start, end }) => ({
    entity,
    start: units.get(start) ?? unit,
    end: units.get(end) ?? unit,
  }));
}

function split(texts: readonly string[], entities: readonly Entity[]): readonly (readonly Entity[])[] {
  let at = 0;
  return texts.map((text) => {
    const from = at;
    at += text.length + BETWEEN.length;
    return entities
      .filter(({ start, end }) => start >= from && end <= from + text.length && end > start)
      .map(({ entity, start, end }) => ({ entity, start: start - from, end: end - from }));
  });
}

/** SHA-256 of its UTF-8, lower-case hex. */
export async function digestOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
