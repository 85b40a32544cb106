/** The policies that come with Steno, by their own cases. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { openPolicies } from "#scripts/policy/open.ts";
import { policy } from "#scripts/policy/policy.ts";
import { Detectors } from "#workers/mask/detectors.ts";

const ROOT = join(import.meta.dirname, "../../../policies");
const shipped = [".", "profiles/observe", "profiles/standard", "profiles/strict"].map(
  (name) => [name, join(ROOT, name)] as const,
);

test.each(shipped)(
  "the policies in policies/%s load without a warning, each with an id and a reason",
  async (_, dir) => {
    const opened = await openPolicies(dir);
    if ("errors" in opened) throw new Error(JSON.stringify(opened.errors));
    expect(opened.warnings).toEqual([]);
    // A detector that nobody knows would stop what it is to be applied to.
    const detectors = new Detectors({ detectors: [], patterns: [], dictionaries: [] });
    for (const { id, reason, mask } of opened.set.policies.values()) {
      expect(reason, id).toMatch(/\S/);
      expect(() => detectors.choose(mask), id).not.toThrow();
    }
  },
);

test.each(shipped)(
  "the cases in policies/%s are as they say, and every policy decides one",
  async (_, dir) => {
    const said: string[] = [];
    const terminal = {
      env: {},
      out: (line: string) => said.push(line),
      err: (line: string) => said.push(line),
    };
    expect(await policy(["test", dir, "--json"], terminal), said.join("\n")).toBe(0);
    const { cases, failed, untested } = JSON.parse(said[0] ?? "{}");
    expect({ failed, untested }).toEqual({ failed: [], untested: [] });
    expect(cases).toBeGreaterThan(4);
  },
);
