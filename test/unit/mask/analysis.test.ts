// The analyzer of personal data: what it is asked, what of its answer counts, and what happens without one.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { presidio as check } from "#scripts/check/presidio.ts";
import { line } from "#scripts/config/finding.ts";
import { parseSettings } from "#scripts/config/settings.ts";
import { type Presidio, startPresidio } from "#test/support/presidio.ts";
import type { Analyzer } from "#workers/contract/analyzer.ts";
import { Analysis } from "#workers/mask/analysis/analysis.ts";
import { askPresidio } from "#workers/mask/analysis/presidio.ts";
import { textsOf } from "#workers/mask/analysis/texts.ts";

let presidio: Presidio;
beforeAll(async () => {
  presidio = await startPresidio();
});
beforeEach(() => {
  presidio.wrong = undefined;
  presidio.asked.length = 0;
});
afterAll(() => presidio?.stop());

const settings = (more: object = {}) => ({
  ...{ url: presidio.url, language: "en", entities: [], score: 0.5, timeoutSeconds: 1 },
  ...more,
});
const ask = (text: string, more?: object) => askPresidio({ fetch }, settings(more), text);
const analyzer = (more?: object): Analyzer => ({
  analyze: async (text) =>
    ask(text, more).then(
      (ok) => ({ ok }),
      (thrown: Error) => ({ no: { code: "policy_unavailable", message: thrown.message } }),
    ),
});
const analysis = (more: object = {}) =>
  new Analysis(analyzer(), { severity: "high", max: 1_000, whenDown: "refuse", ...more });

describe("an answer", () => {
  test("has places in code points, and only what is sure enough", async () => {
    expect(await ask("🦉 Ada Lovelace in Zürich")).toEqual([{ entity: "PERSON", start: 2, end: 14 }]);
    expect(await ask("Zürich", { score: 0.4 })).toEqual([{ entity: "LOCATION", start: 0, end: 6 }]);
    expect(await ask("Ada Lovelace in Zürich", { entities: ["LOCATION"], score: 0 })).toEqual([
      { entity: "LOCATION", start: 16, end: 22 },
    ]);
    expect(presidio.asked[0]).toEqual({
      text: "🦉 Ada Lovelace in Zürich",
      language: "en",
      score_threshold: 0.5,
    });
  });

  test.each([
    ["an error", { status: 500, body: '{"error":"x"}' }, "answered 500, not 200"],
    ["a redirect", { status: 302, body: "" }, "answered 302, not 200"],
    ["no JSON", { status: 200, body: "<html>" }, "cannot be read"],
    ["another shape", { status: 200, body: '[{"entity":"PERSON"}]' }, "no list of entities"],
    ["places beyond the text", { status: 200, body: answerOf(0, 99) }, "places that the text does not have"],
    ["places back to front", { status: 200, body: answerOf(3, 1) }, "places that the text does not have"],
    ["too much", { status: 200, body: `"${"x".repeat(4 * 1024 * 1024)}"` }, "more than 4194304 bytes"],
  ])("that is %s is refused with what is wrong with it", async (_, wrong, message) => {
    presidio.wrong = wrong;
    await expect(ask("text")).rejects.toMatchObject({
      code: "policy_unavailable",
      message: expect.stringContaining(message),
    });
  });

  test("that does not come is waited for no longer than configured", async () => {
    presidio.wrong = "hang";
    await expect(ask("text")).rejects.toThrow("took too long");
  });
});

function answerOf(start: number, end: number): string {
  return JSON.stringify([{ entity_type: "PERSON", start, end, score: 1 }]);
}

describe("an analysis", () => {
  test("asks about each text once, and names places in each", async () => {
    const all = analysis();
    const texts = ["🦉🦉", "by Ada Lovelace", "Ada Lovelace and Grace Hopper", "by Ada Lovelace"];
    const ada = { entity: "PERSON", start: 3, end: 15 };
    expect(await all.of(texts)).toEqual({
      found: [
        [],
        [ada],
        [
          { entity: "PERSON", start: 0, end: 12 },
          { entity: "PERSON", start: 17, end: 29 },
        ],
        [ada],
      ],
      whole: true,
    });
    expect(presidio.asked).toHaveLength(1);
    await all.of([...texts, "and Grace Hopper"]);
    expect(presidio.asked.map(({ text }) => text)).toEqual([
      texts.slice(0, 3).join("\n\n"),
      "and Grace Hopper",
    ]);
  });

  test("says that it is not whole when a text is too long, and looks at the others", async () => {
    const { found, whole } = await analysis({ max: 20 }).of(["x".repeat(21), "Ada Lovelace"]);
    expect(found.map((each) => each.length)).toEqual([0, 1]);
    expect(whole).toBe(false);
  });

  test("is refused without an answer, and another time asks again", async () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    const all = analysis();
    presidio.wrong = { status: 500, body: "" };
    await expect(all.of(["Ada Lovelace"])).rejects.toMatchObject({ code: "policy_unavailable" });
    presidio.wrong = undefined;
    expect((await all.of(["Ada Lovelace"])).found[0]).toHaveLength(1);
  });

  test("passes without an answer where that is configured, and is then not whole", async () => {
    presidio.wrong = { status: 500, body: "" };
    expect(await analysis({ whenDown: "pass" }).of(["Ada Lovelace"])).toEqual({ found: [[]], whole: false });
  });

  test("forgets the oldest texts, not the newest", async () => {
    const all = analysis({ max: 1_000_000 });
    await all.of(["first text"]);
    await all.of(Array.from({ length: 4_096 }, (_, i) => `text ${i}`));
    await all.of(["text 4095", "first text"]);
    expect(presidio.asked.at(-1)?.text).toBe("first text");
  });
});

test.each([
  ["json", '{"a":"one","b":[{"c":"two words"},7,"8",null]}', ["one", "two words"]],
  ["json", '{"a":"one"}\n{"a":"two"}\n', ["one", "two"]],
  ["json", '{"a":"one', ['{"a":"one']],
  ["json", `${"[".repeat(99)}"deep"${"]".repeat(99)}`, [`${"[".repeat(99)}"deep"${"]".repeat(99)}`]],
  ["form", "a=one+two&b=%C3%BCber&c=12", ["one two", "über"]],
  ["text", "plain", ["plain"]],
  ["text", "bin\0ary", []],
  ["text", "12345", []],
] as const)("the texts of %s %s", (reading, body, texts) => {
  expect(textsOf(reading, new TextEncoder().encode(body))).toEqual(texts);
});

const configured = (more: string) => {
  const { settings } = parseSettings(`[mask.presidio]\nurl = "${presidio.url}"\n${more}`, "/");
  if (!settings) throw new Error("the configuration cannot be read");
  return settings;
};

test("steno check asks it, and knows what it does not find", async () => {
  const at = `presidio ${presidio.url}`;
  expect(await check(parseSettings("", "/").settings as never)).toEqual([]);
  const [found] = await check(configured('entities = ["PERSON"]'));
  expect(line(found as never)).toMatch(new RegExp(`^ok: ${at}: answers in \\d+ ms$`));
  expect((await check(configured('entities = ["PERSO"]'))).map(line)[0]).toBe(
    `error: ${at}: knows no entity "PERSO" in language "en"`,
  );
  expect((await check(configured('language = "de"'))).map(line)).toEqual([
    expect.stringContaining("/analyze answered 500, not 200"),
  ]);
});
