import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Detectors, readPattern } from "#workers/mask/detectors.ts";
import { Automaton } from "#workers/mask/pattern/automaton.ts";
import { PatternError, parsePattern } from "#workers/mask/pattern/parse.ts";
import { compile } from "#workers/mask/pattern/program.ts";
import { HOLD_MAX, type Rules } from "#workers/mask/pattern/scan.ts";
import { wordsPattern } from "#workers/mask/pattern/words.ts";
import type { Rule } from "#workers/mask/rule.ts";
import { bytesOf, cuts, scanned } from "./scanned.ts";

const rule = (match: Rule["match"], name = "x"): Rule => ({ detector: name, name, severity: "low", match });
const rulesOf = (...rules: readonly Rule[]): Rules => ({ rules, automaton: new Automaton(compile(rules)) });
const pattern = (...sources: readonly string[]): Rules =>
  rulesOf(...sources.map((source, i) => rule(readPattern(source), "xyz"[i] ?? "w")));
const masked = (rules: Rules, text: string): string => scanned(rules, [bytesOf(text)]).text;

/** Patterns over a small alphabet that take at least one character. */
const source = fc.letrec<{ node: string; atom: string }>((tie) => ({
  atom: fc.oneof(
    fc.constantFrom("a", "b", "c", "[ab]", "[^a]", ".", "\\w", "é"),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => `(?:${a}|${b})`),
  ),
  node: fc.oneof(
    { depthSize: "small" },
    tie("atom"),
    fc
      .tuple(tie("atom"), fc.constantFrom("+", "{2}", "{1,3}", "{2,}"))
      .map(([a, times]) => `(?:${a})${times}`),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => a + b),
    fc
      .tuple(tie("atom"), fc.constantFrom("*", "?"), tie("node"))
      .map(([a, times, b]) => `(?:${a})${times}${b}`),
  ),
})).node;
const text = fc.string({ unit: fc.constantFrom("a", "b", "c", " ", "\n", "é"), maxLength: 24 });

/** What JavaScript's own engine says: each character of any part of the text that matches as a whole. */
function expected(sources: readonly string[], plain: string): string {
  const hidden = new Set<number>();
  for (const one of sources) {
    const whole = new RegExp(`^(?:${one})$`, "");
    for (let from = 0; from < plain.length; from++)
      for (let to = from + 1; to <= plain.length; to++)
        if (whole.test(plain.slice(from, to))) for (let at = from; at < to; at++) hidden.add(at);
  }
  return [...plain].map((char, at) => (hidden.has(at) ? "#" : char)).join("");
}

describe("patterns", () => {
  test("what is hidden is what JavaScript's own expressions match, whatever the pattern, however the text is cut", () => {
    fc.assert(
      fc.property(
        fc.array(source, { minLength: 1, maxLength: 3 }),
        text,
        fc.nat(23),
        (sources, plain, at) => {
          const rules = rulesOf(...sources.map((one) => rule(parsePattern(one))));
          const bytes = bytesOf(plain);
          const one = scanned(rules, [bytes]);
          const hidden = one.text.replaceAll(/(?:\[masked:x\])+/g, "#");
          expect(hidden).toBe(expected(sources, plain).replaceAll(/#+/g, "#"));
          const two = scanned(rules, [bytes.subarray(0, at), bytes.subarray(at)]);
          expect({ text: two.text, hits: two.hits }).toEqual({ text: one.text, hits: one.hits });
        },
      ),
      { numRuns: 400 },
    );
  });

  test.each([
    ["\\bfoo\\b", "foo food xfoo foo.", "[masked:x] food xfoo [masked:x]."],
    ["(?i)acme-[a-z]{2,}", "ACME-ab acme-c Acme-dEf", "[masked:x] acme-c [masked:x]"],
    ["^key=.+$", "no key=1\nkey=2 3\nend", "no key=1\n[masked:x]\nend"],
    ["\\x41\\t\\.\\\\", "A\t.\\", "[masked:x]"],
    ["(?P<name>ab|cd)+?e", "ababe cde ae", "[masked:x] [masked:x] ae"],
    ["[äöü]+", "aöäb", "a[masked:x]b"],
    ["x[^x]x", "xéx, xüx, xx", "[masked:x], [masked:x], xx"],
    ["[]a]{2}", "]a-a]", "[masked:x]-[masked:x]"],
    ["[a\\-z]{3}", "a-z amz", "[masked:x] amz"],
  ])("%s in %j", (one, plain, hidden) => expect(masked(pattern(one), plain)).toBe(hidden));

  test.each([
    ["(a", "has a ( that is never closed, at character 2"],
    ["a)", "has a ) that closes nothing, at character 2"],
    ["[a", "has a [ that is never closed, at character 2"],
    ["a{3", "has a { that is no {n}, {n,} or {n,m}; write \\{ for the character, at character 2"],
    ["a{3,1}", "repeats at least more often than at most, at character 7"],
    ["a{999}", "repeats more than 512 times, at character 7"],
    ["a**", "repeats a repetition, at character 3"],
    ["*a", "has a * with nothing before it, at character 1"],
    ["(?=a)b", "uses a group of a kind that is not supported (lookahead, lookbehind, flags), at character 2"],
    ["(a)\\1", "uses \\1, which is not supported, at character 6"],
    ["\\p{L}", "uses \\p, which is not supported, at character 3"],
    ["[z-a]", "has a range that ends before it begins, at character 5"],
    ["a\\", "ends in a backslash, at character 4"],
    ["a*", "matches the empty text, which is everywhere"],
    ["a|", "matches the empty text, which is everywhere"],
    ["(?:a{100}){20}", "may take 2000 bytes, more than the 1024 that are held back"],
    ["(?:(?:a{0,100}b?){0,100}c)*d", "repeats too much within repetitions"],
    ["a".repeat(1_001), "is longer than 1000 characters"],
    ["(".repeat(60), "is nested more than 50 deep, at character 51"],
  ])("%s is refused, and why", (one, why) => expect(() => readPattern(one)).toThrow(new PatternError(why)));
});

describe("time and memory", () => {
  test.each(["(a+)+b", "(a|aa)+c", "(?:a?){200}b", "(.*a){12}x", "[ab]*a[ab]{40}c", "(?i)(x+x+)+y"])(
    "%s, which hangs or blows up others, reads each byte a few times and holds a bounded part",
    (one) => {
      const rules = pattern(one);
      const plain = bytesOf(`${"a".repeat(30_000)}${"ab".repeat(10_000)}${"x".repeat(20_000)}`);
      const { steps, held } = scanned(rules, chunked(plain, 1_000));
      expect(steps).toBeLessThanOrEqual(4 * plain.byteLength);
      expect(held).toBeLessThanOrEqual(HOLD_MAX);
      expect(rules.automaton.made).toBeLessThanOrEqual(2 * plain.byteLength);
    },
  );

  test("states are forgotten when they are too many, and what is hidden stays the same, also of a text that was under way", () => {
    const many = () => pattern("[ab]*a[ab]{18}c", "\\bfoo [ab]{3,30}!");
    const random = Buffer.concat(
      Array.from({ length: 500 }, (_, i) => createHash("sha512").update(`${i}`).digest()),
    ).map((byte) => (byte & 1 ? 97 : 98));
    const plain = Buffer.concat([bytesOf("foo ab"), random, bytesOf("c foo abab!")]);
    const rules = many();
    const one = scanned(rules, [plain]);
    expect(rules.automaton.generation).toBeGreaterThan(1);
    const shared = many();
    const other = scanned(shared, chunked(plain, 7));
    expect({ text: other.text, hits: other.hits }).toEqual({ text: one.text, hits: one.hits });
  });

  test("ordinary text is held for a word, and one word only", () => {
    const rules = new Detectors({
      detectors: ["secrets", "email", "cards", "bank", "ids", "injection"],
      patterns: [],
      dictionaries: [],
    }).choose();
    const words = "The gateway answers what the agent asks, and 42 people read it on 3 May. ".split(/(?<= )/);
    for (const word of words)
      expect(scanned(rules as Rules, [bytesOf(word)]).held).toBeLessThanOrEqual(word.length);
    expect(scanned(rules as Rules, [bytesOf("One sentence, and it is over. ")]).held).toBe(0);
  });

  test("a match that is longer than what is held is hidden while it goes on, in one piece", () => {
    const rules = pattern("\\bkey-[a-z0-9]{8,}", "end");
    const plain = `so key-${"a1".repeat(20_000)} end.`;
    const one = scanned(rules, [bytesOf(plain)]);
    expect(one.text).toBe("so [masked:x] [masked:y].");
    expect(one.hits[0]).toMatch(/^x 40004 /);
    for (const size of [1, 7, 1_024, 2_048, 5_000]) {
      const { text: hidden, hits, held } = scanned(rules, chunked(bytesOf(plain), size));
      expect({ hidden, hits }).toEqual({ hidden: one.text, hits: one.hits });
      expect(held).toBeLessThanOrEqual(HOLD_MAX);
    }
  });

  test("what goes on for long and then is no match after all is told, and what stands in it is still found", () => {
    const rules = pattern("a[ab]+c", "secret[0-9]{3}");
    const plain = `${"ab".repeat(5_000)}-secret123 ${"ab".repeat(40)}c`;
    const one = scanned(rules, [bytesOf(plain)]);
    expect(one.text).toBe(`${"ab".repeat(5_000)}-[masked:y] [masked:x]`);
    expect(scanned(rules, chunked(bytesOf(plain), 3)).text).toBe(one.text);
  });
});

describe("dictionaries", () => {
  test("whole words and phrases are found in any case, the longest where one begins another", () => {
    const rules = rulesOf(rule(wordsPattern(["Falcon", "falcon heavy", "C++", "Müller", ".env"])));
    expect(masked(rules, "FALCON falcons, Falcon Heavy! c++ müller Müllers .env")).toBe(
      "[masked:x] falcons, [masked:x]! [masked:x] [masked:x] Müllers [masked:x]",
    );
  });

  test("ten thousand words cost a byte what one word costs", () => {
    const words = Array.from({ length: 10_000 }, (_, i) => `word${(i * 7919).toString(36)}end`);
    const rules = rulesOf(rule(wordsPattern(words)));
    const plain = bytesOf(`${words[5_000]} and nothing else `.repeat(500));
    const { steps, hits } = scanned(rules, [plain]);
    expect(hits).toHaveLength(500);
    expect(steps).toBeLessThanOrEqual(3 * plain.byteLength);
  });
});

test("however a text is cut, the same bytes are hidden and the same is said of them", () => {
  const rules = new Detectors({
    detectors: ["secrets", "email", "cards", "ids"],
    patterns: [],
    dictionaries: [],
  }).choose();
  const plain = `Mail a.b@example.com, ghp_${"a1B2".repeat(9)}; 4111 1111 1111 1111, "password": "xK29dlsQ0pfm28dkA", é 🦅\n-----BEGIN EC PRIVATE KEY-----\n${"MHcCAQEE".repeat(8)}\nabc=\n-----END EC PRIVATE KEY-----\nAKIAIOSFODNN7ABCDEFG.`;
  const one = scanned(rules as Rules, [bytesOf(plain)]);
  expect(one.hits).toHaveLength(6);
  for (const chunks of cuts(bytesOf(plain))) {
    const { text: hidden, hits } = scanned(rules as Rules, chunks);
    expect({ hidden, hits }).toEqual({ hidden: one.text, hits: one.hits });
  }
});

test("bytes that are not UTF-8 pass as they are, and do not hide what stands beside them", () => {
  const rules = pattern("\\bsecret\\d+");
  const bytes = Buffer.concat([
    Buffer.from([0xff, 0xc3, 0x28, 0x80]),
    bytesOf("secret1"),
    Buffer.from([0xf0, 0x9f]),
  ]);
  const { hits } = scanned(rules, [bytes]);
  expect(hits).toHaveLength(1);
  for (const chunks of cuts(bytes)) expect(scanned(rules, chunks).hits).toEqual(hits);
});

function chunked(bytes: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength; at += size) chunks.push(bytes.subarray(at, at + size));
  return chunks;
}
