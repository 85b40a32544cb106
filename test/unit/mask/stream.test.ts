import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { maskerFor, type Reading, readingOf } from "#workers/mask/reading.ts";
import { KEY, passed, rules } from "./passed.ts";
import { bytesOf, cuts } from "./scanned.ts";

const whole = (reading: Exclude<Reading, "none">, text: string) => passed(reading, [bytesOf(text)]);

/** The same at every cut; every mask names the place of its replacement. */
function always(reading: Exclude<Reading, "none">, text: string): string {
  const one = whole(reading, text);
  for (const chunks of cuts(bytesOf(text))) expect(passed(reading, chunks)).toEqual(one);
  const bytes = Buffer.from(one.text);
  for (const { off, detector } of one.masks) {
    const stands = decodeURIComponent(
      bytes
        .subarray(off, off + detector.length + 20)
        .toString()
        .replaceAll(/%(?![0-9A-F]{2})/g, ""),
    );
    expect(stands).toMatch(new RegExp(`^\\[masked:${detector}\\]`));
  }
  return one.text;
}

describe("JSON", () => {
  test.each([
    [`{"a":"x ${KEY} y","b":[1,true,null,-1.5e3]}`, '{"a":"x [masked:secrets] y","b":[1,true,null,-1.5e3]}'],
    ['{"mail":"ann\\u0040example.com"}', '{"mail":"[masked:email]"}'],
    [
      '["na\\u00efve \\u00e9 \\/ \\"q\\"", "naïve"]',
      '["[masked:word] \\u00e9 \\/ \\"q\\"", "[masked:word]"]',
    ],
    ['{"e":"\\ud83e\\udd85 hush\\nhush hush hush\\t"}', '{"e":"\\ud83e\\udd85 hush\\n[masked:word]\\t"}'],
    ['{"password" : "xK29dlsQ0pfm28dkA"}', '{"password" : "[masked:secrets]"}'],
    ['{"note" : "xK29dlsQ0pfm28dkA"}', '{"note" : "xK29dlsQ0pfm28dkA"}'],
    ['{"a":"hush","b":"hush"}', '{"a":"hush","b":"hush"}'],
    [
      `{"hush hush":"a@example.com"}\n{"b":"${KEY}"}\n`,
      '{"hush hush":"[masked:email]"}\n{"b":"[masked:secrets]"}\n',
    ],
    ['{"\\"hush":"\\\\","a":"hush hush"}', '{"\\"hush":"\\\\","a":"[masked:word]"}'],
    [
      '"\\ud83e alone \\ud83e\\u0041 \\udd85 hush hush"',
      '"\\ud83e alone \\ud83e\\u0041 \\udd85 [masked:word]"',
    ],
    ['\ufeff["hush hush"]', '\ufeff["[masked:word]"]'],
    ["12345.5", "12345.5"],
    ["", ""],
  ])("%s passes as %s, however it is cut", (text, expected) => expect(always("json", text)).toBe(expected));

  test.each([
    ["{hush hush: 1}", "{[masked:word]: 1}"],
    ['{"a":1} hush hush', '{"a":1} [masked:word]'],
    ['{"a":"b"]"hush hush"', '{"a":"b"]"[masked:word]"'],
    ['[01, "hush hush"]', '[01, "[masked:word]"]'],
    ["[truhush hush]", "[tru[masked:word]]"],
    ['["hush hu', '["hush hu'],
    ['["hush hush', '["[masked:word]'],
    ['["hush hush \\u00', '["[masked:word] \\u00'],
    ['["\\q hush hush"]', '["\\q [masked:word]"]'],
    [`${"[".repeat(2_001)}"hush hush"`, `${"[".repeat(2_001)}"[masked:word]"`],
  ])("what is no JSON is text from there on: %.40s", (text, expected) => {
    expect(text.length > 200 ? whole("json", text).text : always("json", text)).toBe(expected);
  });

  test("any JSON stays JSON, with the same names, numbers and structure, and strings without a finding keep their bytes", () => {
    const leaf = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.constantFrom(`see ${KEY}!`, "a@example.com", "hush hush"),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: "small" },
        leaf,
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.constantFrom(true, false, null),
        fc.array(tie("tree"), { maxLength: 4 }),
        fc.dictionary(fc.string({ maxLength: 8 }), tie("tree"), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.nat(3), fc.array(fc.nat(300), { maxLength: 4 }), (value, indent, places) => {
        const text = JSON.stringify(value, undefined, indent);
        const bytes = bytesOf(text);
        const expected = JSON.stringify(value, undefined, indent)
          .replaceAll(KEY, "[masked:secrets]")
          .replaceAll("a@example.com", "[masked:email]")
          .replaceAll("hush hush", "[masked:word]");
        const edges = [
          0,
          ...places.filter((at) => at < bytes.byteLength).toSorted((a, b) => a - b),
          bytes.byteLength,
        ];
        const chunks = edges.slice(1).map((to, i) => bytes.subarray(edges[i], to));
        const { text: masked } = passed("json", chunks);
        expect(() => JSON.parse(masked)).not.toThrow();
        if (!text.includes("\\u")) expect(masked).toBe(expected);
      }),
      { numRuns: 300 },
    );
  });
});

describe("text and forms", () => {
  test.each([
    [`a ${KEY} b`, "a [masked:secrets] b"],
    ["hush", "hush"],
    ["naïve naïves", "[masked:word] naïves"],
  ])("text %s passes as %s", (text, expected) => expect(always("text", text)).toBe(expected));

  test.each([
    [`a=1&k=${KEY}&b=x%20y`, "a=1&k=%5Bmasked%3Asecrets%5D&b=x%20y"],
    ["mail=ann%40example.com&hush+hush=1", "mail=%5Bmasked%3Aemail%5D&hush+hush=1"],
    ["q=hush+hush+hushed%", "q=%5Bmasked%3Aword%5D+hushed%"],
    ["q=%4&r=%zz&s=100%%20&t", "q=%4&r=%zz&s=100%%20&t"],
    [
      "password=xK29dlsQ0pfm28dkA&note=xK29dlsQ0pfm28dkA",
      "password=%5Bmasked%3Asecrets%5D&note=xK29dlsQ0pfm28dkA",
    ],
  ])("form %s passes as %s", (text, expected) => expect(always("form", text)).toBe(expected));

  test("bytes that are no UTF-8 pass untouched in every reading", () => {
    const bytes = Buffer.from([
      0xff, 0x22, 0xc3, 0x28, 0x0a, 0x64, 0x80, 0x3d, 0xfe, 0x25, 0xff, 0x0d, 0x0a, 0x0a,
    ]);
    for (const reading of ["text", "json", "form", "sse"] as const)
      for (const chunks of [[bytes], ...cuts(bytes)]) {
        const masker = maskerFor(reading, rules);
        const out = Buffer.concat([...chunks.map((chunk) => masker.push(chunk)), masker.end()]);
        expect(out.toString("hex")).toBe(bytes.toString("hex"));
      }
  });
});

const sse = (...events: readonly object[]) =>
  events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
/** What a client makes of it: each text of each field, joined. */
function joined(
  stream: string,
  pick: (event: never) => readonly (readonly [string, string])[],
): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const event of stream.split("\n\n")) {
    const payload = event
      .split("\n")
      .filter((line) => line.startsWith("data: "))
      .map((line) => line.slice(6))
      .join("\n");
    if (payload === "" || payload === "[DONE]") continue;
    for (const [field, text] of pick(JSON.parse(payload) as never))
      texts[field] = (texts[field] ?? "") + text;
  }
  return texts;
}
const pieces = (text: string, size: number) => text.match(new RegExp(`.{1,${size}}`, "gsu")) ?? [];

describe("streamed answers", () => {
  test.each([1, 2, 5, 100])(
    "OpenAI chat: text and tool arguments in pieces of %i letters are masked as a whole, and every piece stays valid",
    (size) => {
      const args = JSON.stringify({ path: "a.env", text: `K=${KEY}\nmail a@example.com` });
      const chunk = (delta: object, finish: string | null = null) => ({
        id: "c1",
        choices: [{ index: 0, delta, finish_reason: finish }],
      });
      const stream = `${sse(
        chunk({ role: "assistant", content: "" }),
        ...pieces(`The key is ${KEY}, ask ann@example.com`, size).map((content) => chunk({ content })),
        ...pieces(args, size).map((part) =>
          chunk({ tool_calls: [{ index: 0, function: { arguments: part } }] }),
        ),
        chunk({}, "tool_calls"),
      )}data: [DONE]\n\n`;
      const pick = ({
        choices: [{ delta }],
      }: {
        choices: [{ delta: { content?: string; tool_calls?: [{ function: { arguments: string } }] } }];
      }) =>
        [
          ["content", delta.content ?? ""],
          ["args", delta.tool_calls?.[0].function.arguments ?? ""],
        ] as const;
      const masked = size === 100 ? always("sse", stream) : whole("sse", stream).text;
      const texts = joined(masked, pick as never);
      expect(texts["content"]).toBe("The key is [masked:secrets], ask [masked:email]");
      expect(JSON.parse(texts["args"] ?? "")).toEqual({
        path: "a.env",
        text: "K=[masked:secrets]\nmail [masked:email]",
      });
      expect(masked.endsWith("data: [DONE]\n\n")).toBe(true);
      expect(masked.indexOf('"finish_reason":"tool_calls"')).toBeGreaterThan(
        masked.lastIndexOf('"content":"'),
      );
    },
  );

  test.each([1, 3, 50])(
    "Anthropic: text, thinking and tool input in pieces of %i letters; what is held comes before the block stops",
    (size) => {
      const named = (event: { type: string }) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
      const delta = (index: number, one: object) =>
        named({ type: "content_block_delta", index, delta: one } as never);
      const input = JSON.stringify({ command: `export T=${KEY}` });
      const stream = [
        named({ type: "message_start" }),
        ...pieces("mail to ann@example.com", size).map((text) => delta(0, { type: "text_delta", text })),
        named({ type: "content_block_stop", index: 0 } as never),
        ...pieces(input, size).map((partial_json) => delta(1, { type: "input_json_delta", partial_json })),
        named({ type: "content_block_stop", index: 1 } as never),
        named({ type: "message_stop" }),
      ].join("");
      const { text: masked } = whole("sse", stream);
      const pick = ({
        index,
        delta: one,
      }: {
        index: number;
        delta?: { text?: string; partial_json?: string };
      }) => (one ? [[`${index}`, one.text ?? one.partial_json ?? ""] as const] : []);
      expect(joined(masked, pick as never)).toEqual({
        "0": "mail to [masked:email]",
        "1": '{"command":"export T=[masked:secrets]"}',
      });
      const events = masked.split("\n\n");
      const stop = events.findIndex((event) => event.includes('"content_block_stop","index":0'));
      expect(events.slice(stop).some((event) => event.includes('"index":0,"delta"'))).toBe(false);
      for (const event of events.filter((one) => one !== "")) {
        const [name, data] = event.split("\n");
        expect(name).toBe(`event: ${(JSON.parse(data?.slice(6) ?? "") as { type: string }).type}`);
      }
    },
  );

  test("OpenAI responses: deltas are one text, and the whole text that follows is masked the same", () => {
    const place = { item_id: "i", output_index: 0, content_index: 0 };
    const stream = sse(
      ...pieces(`see ${KEY}`, 3).map((delta) => ({ type: "response.output_text.delta", ...place, delta })),
      { type: "response.output_text.done", ...place, text: `see ${KEY}` },
      { type: "response.completed", response: { output: [{ content: [{ text: `see ${KEY}` }] }] } },
    );
    const masked = whole("sse", stream).text;
    const pick = (event: { type: string; delta?: string; text?: string }) =>
      [
        ["delta", event.delta ?? ""],
        ["done", event.text ?? ""],
      ] as const;
    expect(joined(masked, pick as never)).toEqual({
      delta: "see [masked:secrets]",
      done: "see [masked:secrets]",
    });
    expect(masked).not.toContain("ghp_");
  });

  test("Gemini: parts of one candidate follow one another, and end with its reason", () => {
    const part = (text: string, finishReason?: string) => ({
      candidates: [
        { content: { parts: [{ text }], role: "model" }, index: 0, ...(finishReason && { finishReason }) },
      ],
    });
    const stream = sse(...pieces(`key ${KEY} a@exam`, 4).map((text) => part(text)), part("ple.com", "STOP"));
    const pick = ({
      candidates: [{ content }],
    }: {
      candidates: [{ content: { parts: [{ text: string }] } }];
    }) => [["text", content.parts[0].text]] as const;
    expect(joined(whole("sse", stream).text, pick as never)).toEqual({
      text: "key [masked:secrets] [masked:email]",
    });
  });

  test("interleaved choices do not mix, and an answer that breaks off still gives what was held", () => {
    const chunk = (index: number, content: string) => ({ choices: [{ index, delta: { content } }] });
    const stream = sse(
      chunk(0, "hu"),
      chunk(1, "a@exa"),
      chunk(0, "sh hu"),
      chunk(1, "mple."),
      chunk(0, "sh"),
      chunk(1, "com"),
    );
    const pick = ({
      choices: [{ index, delta }],
    }: {
      choices: [{ index: number; delta: { content: string } }];
    }) => [[`${index}`, delta.content]] as const;
    expect(joined(whole("sse", stream).text, pick as never)).toEqual({
      "0": "[masked:word]",
      "1": "[masked:email]",
    });
  });

  test.each([
    [
      'event: message\r\ndata: {"a": "hush hush"}\r\n\r\n',
      'event: message\r\ndata: {"a": "[masked:word]"}\r\n\r\n',
    ],
    ['data:{"a":1.0}\n\n:ping\n\n', 'data:{"a":1.0}\n\n:ping\n\n'],
    [": hush hush\nid: a@example.com\nretry: 3\n\n", ": [masked:word]\nid: [masked:email]\nretry: 3\n\n"],
    ["data: hush hush\ndata: more\n\n", "data: [masked:word]\ndata: more\n\n"],
    ['data: {"a":\ndata: "hush hush"}\n\n', 'data: {"a":\ndata: "[masked:word]"}\n\n'],
    ["data: plain a@example.com\r\rdata: [DONE]\r\r", "data: plain [masked:email]\r\rdata: [DONE]\r\r"],
    ['data: {"a":"hush hush"}', 'data: {"a":"[masked:word]"}'],
    ["hush hush\n\n", "[masked:word]\n\n"],
    [
      'data: {"a": 12345678901234567890, "choices": "hush hush"}\n\n',
      'data: {"a": 12345678901234567890, "choices": "[masked:word]"}\n\n',
    ],
  ])("%j passes as %j, however it is cut", (text, expected) => expect(always("sse", text)).toBe(expected));

  test("an event that is longer than is held leaves as it comes, masked all the same", () => {
    const long = "word ".repeat(80_000);
    const text = `event: x\ndata: {"a":"${long}","b":"${KEY}"}\n\ndata: {"c":"hush hush"}\n\n`;
    const expected = text.replace(KEY, "[masked:secrets]").replace("hush hush", "[masked:word]");
    const bytes = bytesOf(text);
    for (const size of [7_001, 65_536, bytes.byteLength]) {
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < bytes.byteLength; at += size) chunks.push(bytes.subarray(at, at + size));
      const one = passed("sse", chunks);
      expect(one.text).toBe(expected);
      for (const { off } of one.masks)
        expect(
          Buffer.from(one.text)
            .subarray(off, off + 8)
            .toString(),
        ).toBe("[masked:");
    }
  });

  test("a piece leaves at once but for the word that may be one", () => {
    const masker = maskerFor("sse", rules);
    const out = (text: string) => Buffer.from(masker.push(bytesOf(text))).toString();
    const chunk = (content: string) => sse({ choices: [{ index: 0, delta: { content } }] });
    expect(out(chunk("Hello there, "))).toBe(chunk("Hello there, "));
    expect(out(chunk("general"))).toBe(chunk(""));
    expect(out(chunk(" Kenobi."))).toBe(chunk("general "));
  });
});

test.each([
  ["application/json; charset=utf-8", "json"],
  ["application/vnd.api+json", "json"],
  ["application/x-ndjson", "json"],
  ["text/event-stream", "sse"],
  ["application/x-www-form-urlencoded", "form"],
  ["text/html", "text"],
  ["application/octet-stream", "text"],
  [null, "text"],
])("a body of type %s is read as %s", (type, reading) => expect(readingOf(type)).toBe(reading));
