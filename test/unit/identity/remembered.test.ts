import { expect, test } from "vitest";
import { Remembered } from "#workers/identity/remembered.ts";

test("the least recently used entry goes when there is no more room", () => {
  const memory = new Remembered<number>(2);
  memory.keep("a", 1, 100);
  memory.keep("b", 2, 100);
  expect(memory.recall("a", 0)).toBe(1);
  memory.keep("c", 3, 100);
  expect([memory.recall("a", 0), memory.recall("b", 0), memory.recall("c", 0)]).toEqual([1, undefined, 3]);
  expect(memory.size).toBe(2);
});

test("an entry is gone at its time, and when it is told to be", () => {
  const memory = new Remembered<number>(2);
  memory.keep("a", 1, 100);
  memory.keep("b", 2, 200);
  expect(memory.recall("a", 100)).toBeUndefined();
  expect(memory.recall("b", 100)).toBe(2);
  memory.forget("b");
  expect(memory.size).toBe(0);
});
