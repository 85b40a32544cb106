import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { UntilOver } from "#workers/pipeline/answer/until-over.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("waiting until it is over", () => {
  test("gives what comes, and its failures", async () => {
    const until = new UntilOver(new Promise<never>(() => undefined));
    expect(await until.wait(Promise.resolve(7))).toBe(7);
    await expect(until.wait(Promise.reject(new Error("no")))).rejects.toThrow("no");
  });

  test("rejects what is waited for when it ends, and all that comes after", async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    const until = new UntilOver(promise);
    const waiting = until.wait(new Promise(() => undefined));
    reject(new Error("killed"));
    await expect(waiting).rejects.toThrow("killed");
    await expect(until.wait(Promise.resolve(1))).rejects.toThrow("killed");
    // Whoever gives up meanwhile leaves no rejection that nobody handles.
    await expect(until.wait(Promise.reject(new Error("late")))).rejects.toThrow("killed");
  });

  test("keeps nothing of what it gave, though the end has not come", async () => {
    const until = new UntilOver(new Promise<never>(() => undefined));
    const given: WeakRef<object>[] = [];
    for (let n = 0; n < 50; n++) {
      given.push(new WeakRef(await until.wait(Promise.resolve({ bytes: new Uint8Array(1024) }))));
      await turn();
    }
    for (let tries = 0; tries < 50 && given.some((one) => one.deref()); tries++) {
      await turn();
      gc();
    }
    expect(given.filter((one) => one.deref() !== undefined).length).toBeLessThan(5);
    await until.wait(Promise.resolve(0));
  });
});
