import { describe, expect, test } from "vitest";
import { REFUSALS, Refusal, type RefusalCode } from "#durable/format/refusal.ts";
import { granted, problem } from "#workers/wire/problem.ts";

const CODES = Object.keys(REFUSALS) as RefusalCode[];

describe("every refusal is an RFC 9457 document with its own status, and without its cause", () => {
  test.each(CODES)("%s", async (code) => {
    const cause = new Error("SELECT secret FROM internals");
    const response = problem(new Refusal(code, "it may not be", { cause }), "exc_1");
    expect(response.status).toBe(REFUSALS[code]);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const document = (await response.json()) as Record<string, unknown>;
    expect(document).toEqual({
      type: `urn:steno:refusal:${code}`,
      title: expect.stringMatching(/^[A-Z].*[a-z]$/),
      status: REFUSALS[code],
      detail: "it may not be",
      instance: "exc_1",
    });
  });
});

test("a refusal of several parts says no to each, and one without an id has no instance", async () => {
  const parts = [{ part: "refs/heads/main", reason: "protected" }];
  const document = await problem(new Refusal("denied", "no", { parts })).json();
  expect(document).toMatchObject({ parts });
  expect(document).not.toHaveProperty("instance");
});

test("an answer gives what it holds, or throws the refusal it was", () => {
  expect(granted({ ok: null })).toBeNull();
  const no = { no: { code: "backlog_full", message: "the archive is behind" } } as const;
  expect(() => granted(no)).toThrow(new Refusal("backlog_full", "the archive is behind"));
});
