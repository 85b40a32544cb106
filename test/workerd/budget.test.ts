import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, expect, test } from "vitest";
import type { Budget } from "#durable/format/budget/budget.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import { budgetOf, type Purse } from "#durable/stubs.ts";
import { clock } from "./main.ts";

const { BUDGET } = env as unknown as { readonly BUDGET: DurableObjectNamespace };
let purse: Purse;
let name = 0;
let x = 0;
const exchange = (): ExchangeId => `exc_${String(x++).padStart(26, "0")}` as ExchangeId;
const budget = (more: Partial<Budget>): Budget => ({ name: "b", windowSeconds: 3600, ...more });

beforeEach(() => {
  clock.ahead = 0;
  purse = budgetOf(BUDGET, `principal ${name++}`);
});

test("what is spent of one budget is counted in none, and the answer says which and for how long", async () => {
  const few = budget({ name: "few", requests: 2 });
  const many = budget({ name: "many", requests: 3 });
  expect(await purse.take(exchange(), [many, few])).toBeUndefined();
  expect(await purse.take(exchange(), [many, few])).toBeUndefined();
  expect(await purse.take(exchange(), [many, few])).toMatchObject({ budget: "few", what: "requests" });
  expect(await purse.take(exchange(), [many])).toBeUndefined();
  const spent = await purse.take(exchange(), [many]);
  expect(spent).toMatchObject({ budget: "many" });
  expect(spent?.later).toBeGreaterThan(0);
  clock.ahead = 2 * 3_600_000;
  expect(await purse.take(exchange(), [many, few])).toBeUndefined();
});

test("exchanges at once are counted until they are over", async () => {
  const two = budget({ concurrent: 2 });
  const [first, second] = [exchange(), exchange()];
  expect(await purse.take(first, [two])).toBeUndefined();
  expect(await purse.take(second, [two])).toBeUndefined();
  expect(await purse.take(exchange(), [two])).toMatchObject({ what: "concurrent", later: 1 });
  await purse.charge(first, [two], { requests: 0, bytes: 0, tokens: 0 }, true);
  expect(await purse.take(exchange(), [two])).toBeUndefined();
});

test("a request that is taken back leaves its place to another", async () => {
  const one = budget({ requests: 1, concurrent: 1 });
  const first = exchange();
  expect(await purse.take(first, [one])).toBeUndefined();
  await purse.charge(first, [one], { requests: -1, bytes: 0, tokens: 0 }, true);
  expect(await purse.take(exchange(), [one])).toBeUndefined();
  expect(await purse.take(exchange(), [one])).toMatchObject({ budget: "b" });
});

test("bytes and tokens are charged after the fact, and stop what comes next", async () => {
  const small = budget({ bytes: 100, tokens: 50 });
  const one = exchange();
  expect(await purse.take(one, [small])).toBeUndefined();
  await purse.charge(one, [small], { requests: 0, bytes: 10, tokens: 60 }, true);
  expect(await purse.take(exchange(), [small])).toMatchObject({ what: "tokens" });
});

test("counts outlive the object once they are written down, and one principal's are not another's", async () => {
  const one = budget({ requests: 1 });
  const stub = BUDGET.getByName(`principal ${name - 1}`);
  expect(await purse.take(exchange(), [one])).toBeUndefined();
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  await runInDurableObject(stub, (_, state) => state.abort("killed")).catch(() => undefined);
  expect(await budgetOf(BUDGET, `principal ${name - 1}`).take(exchange(), [one])).toMatchObject({
    what: "requests",
  });
  expect(await budgetOf(BUDGET, "somebody else").take(exchange(), [one])).toBeUndefined();
});
