import { expect, test } from "vitest";
import type { Decision } from "#durable/format/decision.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { clear } from "#workers/pipeline/clear.ts";
import type { Recorded } from "#workers/pipeline/exchange.ts";

const said = { policies: ["p"], set: "0".repeat(64), reason: "main is reviewed", denied: [] };
const recorded = (decision: Decision, clearance?: string) => ({ decision, clearance }) as Recorded;

function refused(decision: Decision, clearance?: string): Refusal {
  try {
    clear(recorded(decision, clearance));
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown;
    throw thrown;
  }
  throw new Error("it was cleared");
}

test("a held exchange is refused, with who would have to approve, even if it had a clearance", () => {
  const hold = [
    { group: "leads", count: 2 },
    { group: "security", count: 1 },
  ];
  const denied = [{ part: "refs/heads/main", reason: "main is reviewed" }];
  const refusal = refused({ ...said, verdict: "hold", hold, denied }, "clearance");
  const message = "needs approval by 2 of leads and security; holds are not available: main is reviewed";
  expect(refusal).toMatchObject({ code: "denied", message });
  expect(refusal.parts).toEqual([{ part: "refs/heads/main", reason: message }]);
});

test("a denied exchange is refused with its reason, and an allowed one needs the recorder's clearance", () => {
  expect(refused({ ...said, verdict: "deny" }, "clearance")).toMatchObject({ message: "main is reviewed" });
  expect(() => clear(recorded({ ...said, verdict: "allow" }))).toThrow("no clearance");
  expect(clear(recorded({ ...said, verdict: "allow" }, "c"))).toMatchObject({ clearance: "c" });
});
