import { describe, expect, test } from "vitest";
import { PoliciesInForce, type PolicyEvent } from "#workers/policy/load.ts";
import type { PolicyFile } from "#workers/policy/set/source.ts";
import { ann, engine, facts, file, onRef } from "./asking.ts";

const PERMIT = [file("a.cedar", `@id("p") permit(principal, action, resource);`)];
const FORBID = [file("a.cedar", `@id("f") forbid(principal, action, resource);`)];
const BROKEN = [file("a.cedar", `@id("f")\nforbid(principal, action resource);`)];
const POLL = 10_000;

/** A directory and a clock that the test moves by hand. */
function desk() {
  const inForce = new PoliciesInForce(POLL);
  const events: PolicyEvent[] = [];
  let files: readonly PolicyFile[] | Error = PERMIT;
  let at = 1_000_000;
  let reads = 0;
  /** What happens while a reader waits between two readings. */
  let meanwhile = () => {};
  const around = {
    cedar: engine,
    read: async () => {
      reads++;
      if (files instanceof Error) throw files;
      return files;
    },
    now: () => at,
    pause: async () => meanwhile(),
    report: (event: PolicyEvent) => void events.push(event),
  };
  return {
    inForce,
    events,
    around,
    check: () => inForce.check(around),
    put: (next: readonly PolicyFile[] | Error) => {
      files = next;
    },
    pass: (ms: number) => {
      at += ms;
      return inForce.freshness(at);
    },
    during: (step: () => void) => {
      meanwhile = step;
    },
    reads: () => reads,
    verdict: () => inForce.decide?.(ann, [onRef("git.push", "refs/heads/x")], facts).verdict,
  };
}

describe("the set in force", () => {
  test("is none until a first good one is read, and then decides", async () => {
    const { inForce, check, verdict, events, pass } = desk();
    expect(inForce.decide).toBeUndefined();
    expect(pass(0)).toBe("overdue");
    await check();
    expect(verdict()).toBe("allow");
    expect(events).toEqual([
      { code: "policy_loaded", set: expect.stringMatching(/^[0-9a-f]{64}$/), policies: 1 },
    ]);
  });

  test("is replaced by a good new one, and answers of the old one are not remembered", async () => {
    const { check, verdict, put, events } = desk();
    await check();
    expect(verdict()).toBe("allow");
    put(FORBID);
    await check();
    expect(verdict()).toBe("deny");
    put(PERMIT);
    await check();
    expect(verdict()).toBe("allow");
    expect(events.map(({ code }) => code)).toEqual(["policy_loaded", "policy_loaded", "policy_loaded"]);
  });

  test("stays when the new one is broken, empty or unreadable, and each cause is reported once", async () => {
    const { check, verdict, put, events } = desk();
    await check();
    const kept = events[0]?.code === "policy_loaded" ? events[0].set : "";
    for (const bad of [BROKEN, BROKEN, [], new Error("gone"), new Error("gone")]) {
      put(bad);
      await check();
      expect(verdict()).toBe("allow");
    }
    expect(events.slice(1)).toEqual([
      { code: "policy_rejected", kept, errors: [expect.objectContaining({ file: "a.cedar", line: 2 })] },
      { code: "policy_rejected", kept, errors: [expect.objectContaining({ message: "no policies" })] },
      { code: "policy_rejected", kept, errors: [{ file: "", message: "policies cannot be loaded: gone" }] },
    ]);
    put(PERMIT);
    await check();
    put(BROKEN);
    await check();
    expect(events.slice(4).map(({ code }) => code)).toEqual(["policy_rejected"]);
  });

  test("never comes from a bad start: nothing is decided until the directory is good", async () => {
    const { check, verdict, put, events, pass, inForce } = desk();
    put([]);
    await check();
    expect(inForce.decide).toBeUndefined();
    expect(events).toEqual([{ code: "policy_rejected", kept: null, errors: [expect.anything()] }]);
    expect(pass(POLL - 1)).toBe("current");
    expect(pass(1)).toBe("overdue");
    put(FORBID);
    await check();
    expect(verdict()).toBe("deny");
  });
});

describe("a directory that is being written", () => {
  test("is not believed until two readings agree, so half a file is never in force", async () => {
    const { check, verdict, put, during, events, reads } = desk();
    put(PERMIT);
    during(() => put([...PERMIT, file("b.cedar", `@id("f") forbid(principal, action, resource);`)]));
    await check();
    expect(verdict()).toBe("deny");
    expect(events).toMatchObject([{ code: "policy_loaded", policies: 2 }]);
    expect(reads()).toBe(3);
  });

  test("that never comes to rest is left for the next time, with a report", async () => {
    const { check, during, put, verdict, events, reads } = desk();
    await check();
    const before = reads();
    let n = 0;
    const change = () => put([file("a.cedar", `@id("x${n++}") forbid(principal, action, resource);`)]);
    change();
    during(change);
    await check();
    expect(verdict()).toBe("allow");
    expect(reads() - before).toBe(5);
    expect(events.at(-1)).toMatchObject({
      code: "policy_rejected",
      errors: [{ message: expect.stringContaining("keep changing") }],
    });
  });

  test("that cannot be read for a moment is read again", async () => {
    const { check, during, put, verdict, events } = desk();
    put(new Error("404"));
    during(() => put(FORBID));
    await check();
    expect(verdict()).toBe("deny");
    expect(events.map(({ code }) => code)).toEqual(["policy_loaded"]);
  });
});

describe("the directory is compared", () => {
  test("by one caller for each interval while others go on, and by everybody after two", async () => {
    const { check, pass } = desk();
    await check();
    expect(pass(POLL - 1)).toBe("current");
    expect(pass(1)).toBe("due");
    expect(pass(1)).toBe("current");
    expect(pass(POLL - 2)).toBe("current");
    expect(pass(1)).toBe("overdue");
    expect(pass(0)).toBe("overdue");
    await check();
    expect(pass(0)).toBe("current");
  });

  test("with one reading when nothing has changed", async () => {
    const { check, reads } = desk();
    await check();
    const before = reads();
    await check();
    expect(reads() - before).toBe(1);
  });

  test("and what a slow reader saw earlier does not replace what a later one saw", async () => {
    const { inForce, around, check, put, verdict, events } = desk();
    let release = () => {};
    const slow = inForce.check({
      ...around,
      read: async () => {
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return PERMIT;
      },
    });
    put(FORBID);
    await check();
    let over = false;
    void slow.then(() => {
      over = true;
    });
    // It reads more than once, and digests in between for as long as the machine takes.
    while (!over) {
      release();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(verdict()).toBe("deny");
    expect(events).toHaveLength(1);
  });
});
