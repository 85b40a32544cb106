import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import type { Notice } from "#durable/approval/notice.ts";
import type { HoldTape, Waiter } from "#durable/format/approval/approval.ts";
import {
  type ApprovalId,
  type ConnectionName,
  mintApprovalId,
  mintExchangeId,
  mintSessionId,
} from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import { approvalOf, approvalsOf } from "#durable/stubs.ts";
import { alerts, clock, webhooks } from "./main.ts";

const bindings = env as unknown as Readonly<Record<"APPROVAL" | "DIRECTORY", DurableObjectNamespace>>;
const random = () => crypto.getRandomValues(new Uint8Array(10));
const TTL_MS = 60_000;

const person = (subject: string, ...groups: string[]): Principal => ({
  issuer: "https://idp.example",
  subject,
  groups,
});
const alice = person("alice", "developers", "leads");
const bob = person("bob", "leads");
const carol = person("carol", "leads", "security");

const tapeOf = (over: Partial<HoldTape> = {}): HoldTape => ({
  digest: mintApprovalId(Date.now(), random()),
  principal: alice,
  client: "git/2.39.5",
  connection: "code" as ConnectionName,
  operation: { kind: "unknown" },
  policies: ["main"],
  reason: "main is looked at – by a lead, “really” 👀",
  hold: [{ group: "leads", count: 1 }],
  shown: [],
  ...over,
});
const waiterOf = (): Waiter => ({
  session: mintSessionId(Date.now(), random()),
  x: mintExchangeId(Date.now(), random()),
});

async function held(over: Partial<HoldTape> = {}) {
  const tape = tapeOf(over);
  const waiter = waiterOf();
  const fresh = mintApprovalId(Date.now(), random());
  const id = (await approvalsOf(bindings.DIRECTORY).claim(
    tape.digest,
    fresh,
    Date.now() + TTL_MS,
  )) as ApprovalId;
  const one = approvalOf(bindings.APPROVAL, id);
  await one.join({ tape, waiter, ttlMs: TTL_MS });
  return { id, one, tape, waiter, stub: bindings.APPROVAL.getByName(id) };
}
const listed = async (id: ApprovalId) =>
  (await approvalsOf(bindings.DIRECTORY).approvals()).find(({ approval }) => approval === id);

afterEach(() => {
  clock.ahead = 0;
});

test("only the listed calls reach the object: nothing else can be called, set or read by name", async () => {
  const { one, stub } = await held();
  for (const path of [
    "call/destroy",
    "call/reset",
    "call/add",
    "call/setAlarm",
    "call/fetch",
    "set/state",
    "set/means",
    "get-prop/rows",
    "call/constructor",
  ]) {
    const headers = { "do-content": '["approved"]' };
    const response = await stub.fetch(`https://itty-durable/do/${path}`, { headers });
    expect([path, response.status]).toEqual([path, 404]);
  }
  expect(await one.show()).toMatchObject({ state: "pending" });
});

test("what is asked for comes back letter for letter", async () => {
  const { one, tape } = await held({ justification: "“naïve” ☂ ​" });
  expect(await one.show()).toMatchObject({ reason: tape.reason, justification: tape.justification });
});

describe("a decision", () => {
  test("is made once, however many make it at once", async () => {
    const { one, id } = await held();
    const people = Array.from({ length: 8 }, (_, i) => person(`lead-${i}`, "leads"));
    const all = await Promise.all(
      people.map((by, i) => one.say({ step: i % 2 === 0 ? "approve" : "deny", by })),
    );
    expect(all.filter((said) => "ok" in said)).toHaveLength(1);
    const view = await one.show();
    expect(view?.events.filter(({ step }) => step === "approve" || step === "deny")).toHaveLength(1);
    expect((await listed(id))?.state).toBe(view?.state);
  });

  test("takes a person of the group, who is neither the requester nor the person their agent acts for", async () => {
    const { one } = await held({ principal: { ...alice, agent: "robot" } });
    const no = async (by: Principal) =>
      expect(await one.say({ step: "approve", by })).toMatchObject({ no: "denied" });
    await no(alice);
    await no(person("mallory", "developers"));
    await no({ ...bob, agent: "robot" });
    await no(person("robot", "leads"));
    // Once a member, and no more.
    await no(person("bob"));
    expect(await one.say({ step: "approve", by: bob })).toMatchObject({ ok: { state: "approved" } });
  });

  test("of two groups takes two people, even when one of them is in both", async () => {
    const { one } = await held({
      hold: [
        { group: "leads", count: 1 },
        { group: "security", count: 1 },
      ],
    });
    expect(await one.say({ step: "approve", by: carol })).toMatchObject({ ok: { state: "pending" } });
    expect(await one.say({ step: "approve", by: carol })).toMatchObject({ no: "approval_over" });
    expect(await one.say({ step: "approve", by: bob })).toMatchObject({ ok: { state: "approved" } });
  });

  test("is heard at once by who waits, and is still there when the object was made anew", async () => {
    const { one, stub } = await held();
    const news = one.wait({ seen: 0, ms: 20_000 });
    await one.say({ step: "comment", by: bob, text: "so…" });
    expect(await news).toMatchObject({ state: "pending", events: [{ n: 1, step: "comment", text: "so…" }] });
    await one.say({ step: "approve", by: bob });
    await evictDurableObject(stub);
    expect(await one.show()).toMatchObject({
      state: "approved",
      events: [{ n: 1 }, { n: 2, step: "approve" }],
    });
  });

  test("comes too late after the time of the hold, whatever the alarm does and whichever way clocks jump", async () => {
    const { one, id, stub } = await held();
    clock.ahead = TTL_MS + 1;
    expect(await one.say({ step: "approve", by: bob })).toMatchObject({ no: "approval_over" });
    // Back again: what is over stays over.
    clock.ahead = 0;
    expect(await one.say({ step: "approve", by: bob })).toMatchObject({ no: "approval_over" });
    clock.ahead = TTL_MS + 1;
    await runDurableObjectAlarm(stub);
    expect((await listed(id))?.state).toBe("expired");
  });

  test("nobody makes is a denial by the alarm; a day later nothing is kept", async () => {
    const { one, id, stub } = await held();
    clock.ahead = TTL_MS + 1;
    await runDurableObjectAlarm(stub);
    expect(await one.show()).toMatchObject({ state: "expired", events: [{ step: "expire" }] });
    expect((await listed(id))?.state).toBe("expired");
    clock.ahead = TTL_MS + 25 * 3_600_000;
    await runDurableObjectAlarm(stub);
    expect(await listed(id)).toBeUndefined();
  });
});

describe("an approval", () => {
  test("is used by one exchange, however many want it, and by that one again", async () => {
    const { one, waiter } = await held();
    await one.say({ step: "approve", by: bob });
    const others = Array.from({ length: 6 }, () => waiterOf().x);
    const used = await Promise.all([waiter.x, ...others].map((x) => one.use(x)));
    expect(used.filter((each) => each.used)).toHaveLength(1);
    expect(await one.use(waiter.x)).toMatchObject({ used: used[0]?.used, news: { state: "released" } });
    expect((await one.show())?.events.filter(({ step }) => step === "release")).toHaveLength(1);
  });

  test("of what is asked for in rounds is good for all of them, for ten minutes", async () => {
    const { one, tape, id } = await held({ rounds: true });
    await one.say({ step: "approve", by: bob });
    for (const { x } of [waiterOf(), waiterOf(), waiterOf()])
      expect(await one.use(x)).toMatchObject({ used: true });
    expect((await one.show())?.events.filter(({ step }) => step === "release")).toHaveLength(1);
    const claim = (rounds: boolean) =>
      approvalsOf(bindings.DIRECTORY).claim(
        tape.digest,
        mintApprovalId(Date.now(), random()),
        Date.now() + clock.ahead + TTL_MS,
        rounds,
      );
    expect(await claim(true)).toBe(id);
    clock.ahead = 10 * 60_000;
    expect(await one.use(waiterOf().x)).toMatchObject({ used: false });
    expect(await claim(false)).not.toBe(id);
  });

  test("that is not given is used by nobody", async () => {
    const { one, waiter } = await held();
    expect(await one.use(waiter.x)).toMatchObject({ used: false, news: { state: "pending" } });
    await one.say({ step: "deny", by: bob });
    expect(await one.use(waiter.x)).toMatchObject({ used: false, news: { state: "denied" } });
  });

  test("is void when the last that waits for it is gone, and cannot be given then", async () => {
    const { one, tape, waiter } = await held();
    const other = waiterOf();
    await one.join({ tape, waiter: other, ttlMs: TTL_MS });
    expect(await one.leave({ waiter, void: "the client hung up" })).toMatchObject({ state: "pending" });
    expect(await one.leave({ waiter: other, void: "the client hung up" })).toMatchObject({ state: "void" });
    expect(await one.say({ step: "approve", by: bob })).toMatchObject({ no: "approval_over" });
  });

  test("is one for the same content for as long as it is open, and another afterwards", async () => {
    const { one, id, tape } = await held();
    const claim = () =>
      approvalsOf(bindings.DIRECTORY).claim(
        tape.digest,
        mintApprovalId(Date.now(), random()),
        Date.now() + TTL_MS,
      );
    expect(await Promise.all([claim(), claim()])).toEqual([id, id]);
    await one.say({ step: "deny", by: bob });
    expect(await claim()).not.toBe(id);
  });
});

test("five hundred holds wait at once, and each is decided by itself", { timeout: 120_000 }, async () => {
  const all = await Promise.all(Array.from({ length: 500 }, () => held()));
  const said = await Promise.all(
    all.map(({ one }, i) => one.say({ step: i % 2 === 0 ? "approve" : "deny", by: bob })),
  );
  expect(said.every((each) => "ok" in each)).toBe(true);
  const used = await Promise.all(all.map(({ one, waiter }) => one.use(waiter.x)));
  expect(used.map((each) => each.used)).toEqual(all.map((_, i) => i % 2 === 0));
});

test("somebody who is of the group no more has no say, whatever they said before", async () => {
  const { one } = await held({ hold: [{ group: "leads", count: 2 }] });
  expect(await one.say({ step: "comment", by: bob, text: "looking" })).toHaveProperty("ok");
  expect(await one.say({ step: "approve", by: { ...bob, groups: ["developers"] } })).toMatchObject({
    no: "denied",
    message: "this takes a member of leads",
  });
  expect((await one.show())?.state).toBe("pending");
});

test("a denial while the client hangs up is one end of it, whichever comes first, and nothing is released", async () => {
  for (let round = 0; round < 20; round++) {
    const { one, waiter } = await held();
    const ends = [
      () => one.say({ step: "deny", by: bob }),
      () => one.leave({ waiter, void: "the client hung up" }),
    ];
    await Promise.all((round % 2 === 0 ? ends : ends.toReversed()).map((end) => end()));
    const view = await one.show();
    expect(view?.events.filter(({ step }) => step === "deny" || step === "void")).toHaveLength(1);
    expect(["denied", "void"]).toContain(view?.state);
    expect((await one.use(waiter.x)).used).toBe(false);
  }
});

describe("breaking the glass", () => {
  const olga = person("olga", "oncall");

  test("lets through alone what two others were to approve, with who and why", async () => {
    const { one, waiter } = await held({ hold: [{ group: "leads", count: 2 }] });
    expect(await one.say({ step: "break-glass", by: olga, text: "the site is down" })).toMatchObject({
      ok: {
        state: "approved",
        events: [
          { step: "break-glass", by: { subject: "olga", groups: ["oncall"] }, text: "the site is down" },
        ],
      },
    });
    expect(await one.use(waiter.x)).toMatchObject({ used: true });
  });

  test.each([
    ["somebody of no such group", bob, "breaking the glass takes a member of oncall"],
    [
      "who asked for it",
      { ...alice, groups: ["oncall"] },
      "nobody decides on what they asked for themselves",
    ],
    ["an agent", { ...olga, agent: "cursor" }, "an agent cannot decide"],
  ])("is not for %s", async (_, by, message) => {
    const { one } = await held();
    expect(await one.say({ step: "break-glass", by, text: "please" })).toMatchObject({
      no: "denied",
      message: expect.stringContaining(message),
    });
    expect((await one.show())?.state).toBe("pending");
  });

  test("comes too late once it was denied", async () => {
    const { one } = await held();
    await one.say({ step: "deny", by: bob });
    expect(await one.say({ step: "break-glass", by: olga, text: "but" })).toMatchObject({
      no: "approval_over",
    });
  });
});

describe("webhooks", () => {
  afterEach(() => {
    webhooks.length = 0;
    alerts.length = 0;
  });
  const steps = (told: readonly { readonly notice: Notice }[]) =>
    told.map(({ notice: { row, event } }) => `${event?.step ?? "open"} ${row.state}`);
  /** Rings until nothing is due any more. */
  const ring = async (stub: DurableObjectStub) => {
    while (await runDurableObjectAlarm(stub)) {
      const due = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
      if (due === null || due > Date.now() + clock.ahead) return;
    }
  };

  test("are told in order what waits and what became of it, once each, and not who looked", async () => {
    const told: { readonly notice: Notice; readonly id: string }[] = [];
    webhooks.push(async (notice, id) => void told.push({ notice, id }));
    const { id, one, stub, waiter } = await held({ hold: [{ group: "leads", count: 2 }] });
    await ring(stub);
    await one.say({ step: "view", by: bob });
    await one.say({ step: "comment", by: bob, text: "hm" });
    await one.say({ step: "approve", by: bob });
    await ring(stub);
    await one.say({ step: "approve", by: carol, text: "fine" });
    await one.use(waiter.x);
    await ring(stub);
    await ring(stub);
    expect(steps(told)).toEqual(["open pending", "approve pending", "approve approved", "release released"]);
    expect(told.map((each) => each.id)).toEqual([`${id}.0`, `${id}.3`, `${id}.4`, `${id}.5`]);
  });

  test("one that fails is told again, after a restart too, with the same id; another is not delayed by it", async () => {
    const tried: string[] = [];
    const others: string[] = [];
    let down = true;
    webhooks.push(
      async (_, id) => {
        tried.push(id);
        if (down) throw new Error("it answered 500");
      },
      async (_, id) => void others.push(id),
    );
    const { id, one, stub } = await held();
    await ring(stub);
    await one.say({ step: "deny", by: bob });
    await ring(stub);
    expect(others).toEqual([`${id}.0`, `${id}.1`]);
    expect(new Set(tried)).toEqual(new Set([`${id}.0`]));
    expect(alerts).toContainEqual(
      expect.objectContaining({ code: "webhook_failed", approval: id, webhook: 0 }),
    );
    await evictDurableObject(stub);
    down = false;
    clock.ahead += 120_000;
    await ring(stub);
    expect(tried.slice(-2)).toEqual([`${id}.0`, `${id}.1`]);
  });

  test("what nobody took is given up, loudly, when the hold is forgotten", async () => {
    webhooks.push(async () => {
      throw new Error("it answered 404");
    });
    const { id, stub } = await held();
    await ring(stub);
    clock.ahead += TTL_MS + 25 * 3_600_000;
    await ring(stub);
    expect(alerts).toContainEqual({ code: "webhook_given_up", approval: id, webhook: 0, n: 0 });
    expect(await one(id)).toBeNull();
  });
  const one = (id: ApprovalId) => approvalOf(bindings.APPROVAL, id).show();
});
