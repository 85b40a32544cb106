// Masking: how fast bodies pass with few and with many patterns, and how much later the words of a streamed answer arrive;
// beside holding the whole answer back until it has been read.
import { Detectors } from "#workers/mask/detectors.ts";
import type { Rules } from "#workers/mask/pattern/scan.ts";
import { maskerFor, type Reading } from "#workers/mask/reading.ts";
import { median, type Row } from "./measure.ts";

const PATTERNS = [5, 50, 200] as const;
const CHUNK = 64 * 1024;
/** A model that writes fast: 100 pieces a second, of four letters or so each. */
const PIECE_MS = 10;
const PIECES = 600;

const WORDS =
  "the gateway reads what the agent asks and answers it with what the server says when 42 people on 3 May 2026 have approved of app/src/main.ts at https://example.com/a?b=c".split(
    " ",
  );
const SECRET = `ghp_${"a1B2".repeat(9)}`;

/** `count` patterns as operators write them, besides the detectors that come with Steno where there are 200. */
function rulesOf(count: number): Rules {
  const built = count === 200 ? ["secrets", "email", "cards", "bank", "ids", "injection"] : ["secrets"];
  const own = count === 200 ? 77 : count - 1;
  const patterns = Array.from({ length: own }, (_, i) => ({
    name: `own-${i}`,
    pattern: `\\b(?:acme|corp)-${i}-[a-z0-9]{8,32}\\b`,
    severity: "medium" as const,
  }));
  const detectors =
    count === 200 ? [...built, ...patterns.map(({ name }) => name)] : patterns.map(({ name }) => name);
  const rules = new Detectors({ detectors, patterns, dictionaries: [] }).choose(
    count === 200 ? [] : ["email"],
  );
  if (!rules) throw new Error("no rules");
  return rules;
}

function prose(bytes: number, secrets: boolean): string {
  const parts: string[] = [];
  let length = 0;
  for (let i = 0; length < bytes; i++) {
    const word = secrets && i % 400 === 399 ? SECRET : (WORDS[(i * 7 + (i >> 3)) % WORDS.length] ?? "");
    parts.push(word);
    length += word.length + 1;
  }
  return parts.join(" ");
}

const encoder = new TextEncoder();

function body(reading: Exclude<Reading, "none">, bytes: number): Uint8Array {
  const text = prose(bytes, true);
  switch (reading) {
    case "text":
      return encoder.encode(text);
    case "form":
      return encoder.encode(`a=${encodeURIComponent(text)}`);
    case "json": {
      const messages = text
        .match(/.{1,600}/gs)
        ?.map((content, i) => ({ role: "user", id: i, content: `${content}\n"x"` }));
      return encoder.encode(JSON.stringify({ model: "m", stream: true, messages }));
    }
    case "sse":
      return encoder.encode(
        text
          .match(/.{1,12}/gs)
          ?.map(event)
          .join("") ?? "",
      );
  }
}

const event = (content: string): string =>
  `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;

function speed(reading: Exclude<Reading, "none">, rules: Rules, bytes: Uint8Array): number {
  const once = () => {
    const masker = maskerFor(reading, rules);
    const began = performance.now();
    for (let at = 0; at < bytes.byteLength; at += CHUNK) masker.push(bytes.subarray(at, at + CHUNK));
    masker.end();
    return bytes.byteLength / 1e3 / (performance.now() - began);
  };
  return median(Array.from({ length: 5 }, once));
}

type Waits = { readonly first: number; readonly middle: number; readonly most: number; readonly cpu: number };

/** How long after it came a letter leaves, in a clock that ticks with the pieces; and the time the work itself takes. */
function waits(rules: Rules): Waits {
  const pieces = prose(PIECES * 4, false).match(/.{1,4}/gs) ?? [];
  const masker = maskerFor("sse", rules);
  const came: number[] = [];
  const left: number[] = [];
  let spent = 0;
  const take = (bytes: Uint8Array, at: number) => {
    const contents = new TextDecoder().decode(bytes).matchAll(/"content":"((?:[^"\\]|\\.)*)"/g);
    for (const [, content = ""] of contents) for (let i = 0; i < content.length; i++) left.push(at);
  };
  for (const [n, piece] of pieces.entries()) {
    const at = n * PIECE_MS;
    for (let i = 0; i < piece.length; i++) came.push(at);
    const began = performance.now();
    const shown = masker.push(encoder.encode(event(piece)));
    spent += performance.now() - began;
    take(shown, at);
  }
  take(masker.end(), pieces.length * PIECE_MS);
  const all = came.map((at, i) => (left[i] ?? Number.NaN) - at);
  return {
    first: all[0] ?? 0,
    middle: median(all),
    most: Math.max(...all),
    cpu: (spent / pieces.length) * 1_000,
  };
}

export function measureMask(megabytes: number): { readonly speed: Row[]; readonly waits: Row[] } {
  const readings = ["text", "json", "sse", "form"] as const;
  const bodies = new Map(readings.map((reading) => [reading, body(reading, megabytes * 1e6)]));
  const rows = PATTERNS.map((count) => {
    const rules = rulesOf(count);
    const speeds = readings.map((reading) => [
      `${reading} MB/s`,
      speed(reading, rules, bodies.get(reading) ?? new Uint8Array(0)),
    ]);
    return { patterns: `${count}`, ...Object.fromEntries(speeds) } as Row;
  });
  const whole = PIECES * PIECE_MS;
  const delays: Row[] = PATTERNS.map((count) => {
    const { first, middle, most, cpu } = waits(rulesOf(count));
    return {
      patterns: `${count}`,
      "first token later, ms": first + cpu / 1_000,
      "median letter, ms": middle,
      "worst letter, ms": most,
      "µs CPU an event": cpu,
    };
  });
  delays.push({
    patterns: "whole answer held back",
    "first token later, ms": whole,
    "median letter, ms": whole / 2,
    "worst letter, ms": whole,
    "µs CPU an event": "",
  });
  return { speed: rows, waits: delays };
}
