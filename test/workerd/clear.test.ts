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

test("a held exchange is let through with the clearance of its release, and refused without one", () => {
  const hold = [{ group: "leads", count: 2 }];
  const denied = [{ part: "refs/heads/main", reason: "main is reviewed" }];
  const decision: Decision = { ...said, verdict: "hold", hold, denied };
  const refusal = refused(decision);
  const message = "this needs approval, which nobody can give here: main is reviewed";
  expect(refusal).toMatchObject({ code: "denied", message, parts: denied });
  expect(clear(recorded(decision, "c"))).toMatchObject({ clearance: "c" });
});

test("a denied exchange is refused with its reason, and an allowed one needs the recorder's clearance", () => {
  expect(refused({ ...said, verdict: "deny" }, "clearance")).toMatchObject({ message: "main is reviewed" });
  expect(() => clear(recorded({ ...said, verdict: "allow" }))).toThrow("no clearance");
  expect(clear(recorded({ ...said, verdict: "allow" }, "c"))).toMatchObject({ clearance: "c" });
});
