// Looking and hiding: what was looked into with the detectors that hide is not looked into again, and still nothing of it leaves.
import { describe, expect, test } from "vitest";
import type { ConnectionName, ExchangeId } from "#durable/format/ids.ts";
import { Detectors } from "#workers/mask/detectors.ts";
import { find } from "#workers/pipeline/body/find.ts";
import { mask } from "#workers/pipeline/body/mask.ts";
import type { Decided, Means, Read } from "#workers/pipeline/exchange.ts";

const ALL = ["secrets", "email", "cards", "bank", "ids", "injection"];
const SECRET = `ghp_${"a1B2".repeat(9)}`;

/** What leaves of a JSON body, and how often something was hidden in it. */
async function left(text: string, everywhere: readonly string[], more: readonly string[] = []) {
  const detectors = new Detectors({ detectors: [...everywhere], patterns: [], dictionaries: [] });
  const means = { detectors, analysis: undefined } as unknown as Means;
  const read = {
    x: "exc_1" as ExchangeId,
    connection: { name: "models" as ConnectionName, kind: "llm", bodies: "full" },
    inspected: {
      questions: [{ part: "", action: "llm.chat", context: {} }],
      outgoing: { method: "POST", path: "/", headers: [["content-type", "application/json"]] },
      body: { kind: "whole", bytes: new TextEncoder().encode(text) },
      reading: "json",
    },
  } as unknown as Read;
  const { questions, clean } = await find(read, means);
  const decided = { ...read, clean, decision: { verdict: "allow", mask: more } } as unknown as Decided;
  const { inspected, hidden } = mask(decided, means);
  const { body } = inspected;
  if (body.kind !== "whole") throw new Error("the body is whole");
  return {
    text: new TextDecoder().decode(body.bytes),
    hidden: hidden.length,
    found: questions[0]?.context["findings"],
    looked: clean !== undefined,
  };
}

describe("a body that was looked into", () => {
  test("passes as it is where nothing was found", async () => {
    const text = '{"a":"nothing \\u0041 of  note"}';
    expect(await left(text, ALL)).toEqual({ text, hidden: 0, found: [], looked: true });
    expect(await left(text, ["email"])).toEqual({ text, hidden: 0, found: [], looked: true });
  });

  test.each([
    ["everywhere", ALL, []],
    ["by these detectors", ["secrets"], []],
    ["by a policy", ["email"], ["secrets"]],
  ])("loses what was found and is hidden %s", async (_, everywhere, more) => {
    expect(await left(`{"a":"${SECRET}"}`, everywhere, more)).toMatchObject({
      text: '{"a":"[masked:secrets]"}',
      hidden: 1,
      found: ["secrets"],
      looked: false,
    });
  });

  test("keeps what was found and is to be seen", async () => {
    const text = `{"a":"${SECRET}","b":"robin@example.test"}`;
    expect(await left(text, ["email"])).toMatchObject({
      text: `{"a":"${SECRET}","b":"[masked:email]"}`,
      hidden: 1,
      found: ["email", "secrets"],
    });
  });
});
