import { expect, test } from "vitest";
import { DONE_MAX, doneIn } from "#durable/session/so-far.ts";

const line = (frame: object): string =>
  JSON.stringify({ v: 1, seq: 0, t: "2026-11-26T09:00:00.000Z", salt: "AAAAAAAAAAAAAAAAAAAAAA==", ...frame });
const done = (...frames: object[]) =>
  doneIn(new TextEncoder().encode(frames.map((frame) => `${line(frame)}\n`).join("")));
const request = (x: string, operation: object) => ({ k: "request", x, connection: "code", operation });

test("what was asked, decided and answered is told in names, in its order", () => {
  expect(
    done(
      { k: "session.start" },
      request("a", { kind: "git.fetch", repository: "app" }),
      { k: "decision", x: "a", verdict: "allow" },
      request("b", { kind: "mcp.tools/call", name: "drop_table", arguments: { secret: 1 } }),
      { k: "response", x: "a", status: 200 },
      { k: "decision", x: "b", verdict: "hold" },
    ),
  ).toEqual([
    {
      ...{ x: "a", at: "2026-11-26T09:00:00.000Z", connection: "code", kind: "git.fetch", about: "app" },
      ...{ verdict: "allow", status: 200 },
    },
    {
      ...{ x: "b", at: "2026-11-26T09:00:00.000Z", connection: "code", kind: "mcp.tools/call" },
      ...{ about: "drop_table", verdict: "hold" },
    },
  ]);
});

test("a body that looks like a frame is none", () => {
  const said = line(request("evil", { kind: "git.push", updates: [] }));
  expect(done({ k: "data", x: "a", dir: "c2s", off: 0, d: said })).toEqual([]);
  expect(done({ k: "data", x: "a", d: '","k":"request"', operation: {} })).toEqual([]);
});

test("answers whose request is elsewhere by now are left out, and of many the newest are told", () => {
  const many = Array.from({ length: DONE_MAX + 5 }, (_, n) => request(`x${n}`, { kind: "git.probe" }));
  const told = done({ k: "response", x: "before", status: 200 }, ...many);
  expect(told).toHaveLength(DONE_MAX);
  expect(told.at(-1)?.x).toBe(`x${DONE_MAX + 4}`);
});
