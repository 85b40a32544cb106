import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import type { HoldTape, Waiter } from "#durable/format/approval/approval.ts";
import type { Resting, StandingRow } from "#durable/format/approval/standing.ts";
import {
  type ApprovalId,
  type ConnectionName,
  mintApprovalId,
  mintExchangeId,
  mintSessionId,
  mintStandingId,
} from "#durable/format/ids.ts";
import type { Principal } from "#durable/format/principal.ts";
import { approvalOf, standingOf } from "#durable/stubs.ts";
import { clock } from "./main.ts";

const bindings = env as unknown as Readonly<Record<"APPROVAL" | "DIRECTORY", DurableObjectNamespace>>;
const random = () => crypto.getRandomValues(new Uint8Array(10));
const MINUTE = 60_000;

const person = (subject: string, ...groups: string[]): Principal => ({
  issuer: "https://idp.example",
  subject,
  groups,
});
const alice = person("alice", "developers", "leads");
const bob = person("bob", "leads");
const sue = person("sue", "security");

const waiterOf = (): Waiter => ({
  session: mintSessionId(Date.now(), random()),
  x: mintExchangeId(Date.now(), random()),
});

const all = () => standingOf(bindings.DIRECTORY);
const rowOf = (...by: Principal[]): Omit<StandingRow, "state"> => {
  const from = Date.now() + clock.ahead;
  const at = new Date(from).toISOString();
  return {
    standing: mintStandingId(from, random()),
    scope: "permit(…)",
    reason: "the release week",
    from: at,
    until: new Date(from + MINUTE).toISOString(),
    grants: by.map((one) => ({ by: one, at })),
  };
};
const restingOf = ({ standing, scope, until, grants }: Omit<StandingRow, "state">): Resting => ({
  ...{ standing, scope, until },
  by: grants.map(({ by }) => by),
});

async function asked(standing: Resting | undefined, over: Partial<HoldTape> = {}) {
  const tape: HoldTape = {
    digest: mintApprovalId(Date.now(), random()),
    principal: person("dev", "developers"),
    client: "git/2.39.5",
    connection: "code" as ConnectionName,
    operation: { kind: "unknown" },
    policies: ["features"],
    reason: "features are looked at",
    hold: [{ group: "leads", count: 1 }],
    shown: [],
    ...over,
  };
  const id: ApprovalId = mintApprovalId(Date.now(), random());
  const one = approvalOf(bindings.APPROVAL, id);
  const waiter = waiterOf();
  const news = await one.join({ tape, waiter, ttlMs: MINUTE, ...(standing && { standing }) });
  return { id, one, waiter, tape, news };
}

afterEach(() => {
  clock.ahead = 0;
});

test("what is covered is approved as it is asked for, and says by whom and what for", async () => {
  const standing = restingOf(rowOf(bob));
  const { news, one, waiter } = await asked(standing);
  expect(news).toMatchObject({ state: "approved", events: [{ n: 1, step: "standing", standing }] });
  expect(await one.use(waiter.x)).toMatchObject({ used: true, news: { state: "released" } });
});

test.each<[string, Principal[], Partial<HoldTape>]>([
  ["whoever granted it asks for it", [alice], { principal: alice }],
  ["it was granted for another group", [sue], {}],
  ["it takes two people", [bob], { hold: [{ group: "leads", count: 2 }] }],
  [
    "it takes another group too",
    [bob],
    {
      hold: [
        { group: "leads", count: 1 },
        { group: "security", count: 1 },
      ],
    },
  ],
])("it lifts nothing when %s", async (_, by, over) => {
  const { news } = await asked(restingOf(rowOf(...by)), over);
  expect(news).toMatchObject({ state: "pending", events: [] });
});

test("two who granted it lift what takes both of their groups; a requester among them does not count", async () => {
  const hold = [
    { group: "leads", count: 1 },
    { group: "security", count: 1 },
  ];
  const both = restingOf(rowOf(bob, sue));
  expect((await asked(both, { hold })).news.state).toBe("approved");
  const { news } = await asked(both, { hold, principal: { ...sue, agent: "robot" } });
  expect(news.state).toBe("pending");
  const leads = restingOf(rowOf(alice, bob));
  const own = await asked(leads, { principal: alice });
  expect(own.news.events).toMatchObject([{ standing: { by: [{ subject: "bob" }] } }]);
});

test("a hold that waits already is approved when the same is asked for again and is covered", async () => {
  const { one, tape } = await asked(undefined);
  const news = await one.join({
    tape,
    waiter: waiterOf(),
    ttlMs: MINUTE,
    standing: restingOf(rowOf(bob)),
  });
  expect(news.state).toBe("approved");
});

test("what was denied stays denied", async () => {
  const { one, tape } = await asked(undefined);
  await one.say({ step: "deny", by: bob });
  const standing = restingOf(rowOf(bob));
  expect((await one.join({ tape, waiter: waiterOf(), ttlMs: MINUTE, standing })).state).toBe("denied");
});

test("revoking is heard once by what was released, and by nothing else", async () => {
  const standing = restingOf(rowOf(bob));
  const { one, waiter } = await asked(standing);
  const said = { by: bob, text: "enough" };
  expect((await one.revoke(said)).events.map(({ step }) => step)).toEqual(["standing"]);
  await one.use(waiter.x);
  const waiting = one.wait({ seen: 2, ms: 20_000 });
  await one.revoke(said);
  expect((await waiting)?.events.at(-1)).toMatchObject({ step: "revoke", text: "enough" });
  expect((await one.revoke(said)).events).toHaveLength(3);
});

test("an exchange leaves by what is live, and by nothing that was revoked or is over", async () => {
  const row = rowOf(bob);
  expect(await all().grantStanding(row)).toBe(true);
  const rest = { approval: mintApprovalId(Date.now(), random()), ...waiterOf() };
  expect(await all().restOn(row.standing, rest)).toBe(true);
  // The same one again, after a restart: it rests on it once.
  await evictDurableObject(bindings.DIRECTORY.getByName("directory"));
  expect(await all().restOn(row.standing, rest)).toBe(true);
  const revoked = { by: bob, at: new Date().toISOString() };
  expect(await all().revokeStanding(row.standing, revoked)).toEqual([rest]);
  expect(await all().restOn(row.standing, { ...rest, ...waiterOf() })).toBe(false);
  // What was not cut yet, since the recorder fell, is named again.
  expect(await all().revokeStanding(row.standing, { ...revoked, at: "later" })).toEqual([rest]);
  await all().rested(row.standing);
  expect(await all().revokeStanding(row.standing, revoked)).toEqual([]);
  expect(await all().standing(row.standing)).toEqual({ ...row, state: "revoked", revoked });

  const short = rowOf(bob);
  await all().grantStanding(short);
  clock.ahead = MINUTE;
  expect(await all().restOn(short.standing, rest)).toBe(false);
  expect((await all().standing(short.standing))?.state).toBe("over");
});

test("it is kept over restarts, granted once however often, and listed for a month after it is over", async () => {
  const row = rowOf(bob);
  await all().grantStanding(row);
  await evictDurableObject(bindings.DIRECTORY.getByName("directory"));
  await all().grantStanding({ ...row, reason: "another" });
  const live = (await all().liveStanding()).filter(({ standing }) => standing === row.standing);
  expect(live).toEqual([{ ...row, state: "live" }]);
  const grant = { by: sue, at: new Date().toISOString() };
  expect((await all().joinStanding(row.standing, grant))?.grants).toEqual([...row.grants, grant]);
  clock.ahead = MINUTE;
  expect(await all().joinStanding(row.standing, grant)).toBeUndefined();
  const listed = async () => (await all().allStanding()).some(({ standing }) => standing === row.standing);
  expect(await listed()).toBe(true);
  clock.ahead = 31 * 24 * 60 * MINUTE;
  await all().grantStanding(rowOf(bob));
  expect(await listed()).toBe(false);
});

test("there are at most a hundred at once, and another when one of them is revoked", async () => {
  const begun = (await all().liveStanding()).length;
  const rows = Array.from({ length: 100 - begun }, () => rowOf(bob));
  for (const row of rows) expect(await all().grantStanding(row)).toBe(true);
  expect(await all().grantStanding(rowOf(bob))).toBe(false);
  const [first] = rows;
  if (first) await all().revokeStanding(first.standing, { by: bob, at: first.from });
  expect(await all().grantStanding(rowOf(bob))).toBe(true);
});
