// What is held: how soon it leaves once somebody has decided, what it costs while it waits, and a thousand of it at once.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ApprovalRow } from "#durable/format/approval/approval.ts";
import { tinyRepository } from "#test/support/servers/repository.ts";
import { quantile, type Row } from "../measure.ts";
import { type Answered, call, hook, look, news, write } from "./asking.ts";
import { type HeldSite, startHeldSite } from "./site.ts";

export interface Amount {
  /** Decisions of each kind, one by one. */
  readonly decisions: number;
  /** Pushes held at once, and how large each is, MB. */
  readonly pushes: number;
  readonly megabytes: number;
  /** Of other traffic before the pushes. */
  readonly warmSeconds: number;
  /** Held at once, a tenth of them calls of tools that wait on their connection, and a tenth hooks. */
  readonly holds: number;
}

const PAUSE_MS = 20;
const AT_ONCE = 16;

export async function measureHolds(
  amount: Amount,
  directory: string,
): Promise<readonly (readonly [title: string, rows: Row[]])[]> {
  const site = await startHeldSite(join(directory, "holds"));
  try {
    const release = await releases(site, amount.decisions);
    const pushes = await heldPushes(site, amount);
    const many = await manyHolds(site, amount.holds);
    return [
      ["From a decision to the first byte at the upstream", release],
      [`${amount.pushes} pushes of ${amount.megabytes} MB, held at once`, pushes],
      [`${amount.holds} holds at once`, many],
    ];
  } catch (thrown) {
    console.error(site.log());
    throw thrown;
  } finally {
    await site.stop();
  }
}

let marks = 0;
const nextMark = (): string => `m${++marks}.`;

async function pending(site: HeldSite): Promise<readonly ApprovalRow[]> {
  return (await site.lead.list()).filter(({ state }) => state === "pending");
}

/** Waits until so many are pending. */
async function untilPending(site: HeldSite, count: number): Promise<readonly ApprovalRow[]> {
  for (let waited = 0; waited < 120_000; waited += PAUSE_MS) {
    const all = await pending(site);
    if (all.length >= count) return all;
    await sleep(PAUSE_MS);
  }
  throw new Error(`fewer than ${count} wait for approval`);
}

async function approve(site: HeldSite, approval: string): Promise<void> {
  const { status, body } = await site.lead.say(approval, "approve");
  if (status !== 200) throw new Error(`approve answers ${status}: ${JSON.stringify(body)}`);
}

type Waiter = { readonly mark: string; readonly done: Promise<unknown> };

async function releases(site: HeldSite, count: number): Promise<Row[]> {
  const kinds: Readonly<Record<string, { readonly begin: () => Promise<Waiter> }>> = {
    "a tool's call, on its connection": {
      begin: async () => {
        const mark = nextMark();
        return { mark, done: call(site, mark).then(ok) };
      },
    },
    "a request that is told and comes again": {
      begin: async () => {
        const mark = nextMark();
        const { headers, status } = await write(site, mark);
        const approval = String(headers["steno-approval"]);
        if (status !== 409) throw new Error(`held requests are answered ${status}`);
        return { mark, done: news(site, approval).then(() => write(site, mark, approval).then(ok)) };
      },
    },
    "a push, on its connection": { begin: await pushing(site) },
  };
  const took = new Map<string, { asked: number[]; told: number[] }>();
  for (let round = -1; round < count; round++)
    for (const [kind, { begin }] of Object.entries(kinds)) {
      const waiter = await begin();
      // Whose failure shows below; until then it must not count as nobody's.
      waiter.done.catch(() => undefined);
      const [row] = await untilPending(site, 1);
      // It waits by now, not only stands in the list.
      await sleep(100);
      const asked = performance.now();
      await approve(site, row?.approval ?? "");
      const told = performance.now();
      const at = await Promise.race([site.arrived(waiter.mark), failed(waiter.done)]);
      await waiter.done;
      if (round < 0) continue;
      const own = took.get(kind) ?? { asked: [], told: [] };
      took.set(kind, { asked: [...own.asked, at - asked], told: [...own.told, at - told] });
    }
  return [...took].map(([held, { asked, told }]) => ({
    held,
    "after it was sent, p50 ms": quantile(asked, 0.5),
    "p99 ms": quantile(asked, 0.99),
    "after its answer, p50 ms": quantile(told, 0.5),
    "p99 ms after": quantile(told, 0.99),
  }));
}

const failed = (done: Promise<unknown>): Promise<never> =>
  new Promise((_, reject) => void done.catch(reject));

function ok(answered: Answered): Answered {
  if (answered.status !== 200) throw new Error(`answered ${answered.status}: ${answered.text.slice(0, 500)}`);
  return answered;
}

/** Each push to a repository of its own, whose name is the mark. */
async function pushing(site: HeldSite): Promise<() => Promise<Waiter>> {
  const alice = await site.client();
  return async () => {
    const mark = nextMark();
    await tinyRepository(join(site.server.root, `${mark}git`));
    const clone = await alice.clone(site.url(`${mark}git`));
    await alice.commit(clone, "note.txt", mark);
    return { mark, done: alice.git("-C", clone, "push", "-q", "origin", "HEAD:refs/heads/held") };
  };
}

/** One after another, as people push; a node that has just begun takes memory for whatever it does first. */
async function heldPushes(site: HeldSite, { pushes, megabytes, warmSeconds }: Amount): Promise<Row[]> {
  const alice = await site.client({ patienceMs: 600_000 });
  const begun: string[] = [];
  for (let n = 0; n < pushes; n++) {
    const mark = nextMark();
    await tinyRepository(join(site.server.root, `${mark}git`));
    const clone = await alice.clone(site.url(`${mark}git`));
    await alice.commit(clone, "large.bin", randomBytes(megabytes * 1e6));
    begun.push(clone);
  }
  await otherTraffic(site, warmSeconds * 1000);
  const rows: Row[] = [];
  const show = (when: string, held: number) => {
    const last = rows.at(-1);
    const now = site.memory();
    const more = (now - Number(last?.["RSS MB"])) / (held - Number(last?.["MB held"])) || 0;
    rows.push({ when, "MB held": held, "RSS MB": now, "more, of what came": last ? more.toFixed(2) : "" });
  };
  show("before", 0);
  const done: Promise<{ readonly code: number; readonly stderr: string }>[] = [];
  const step = Math.ceil(pushes / STEPS);
  for (const [n, clone] of begun.entries()) {
    done.push(alice.attempt("-C", clone, "push", "-q", "origin", "HEAD:refs/heads/held"));
    await untilPending(site, n + 1);
    if ((n + 1) % step === 0 || n + 1 === pushes) show(`${n + 1} wait`, (n + 1) * megabytes);
  }
  const waiting = await pending(site);
  await inParallel(waiting, ({ approval }) => approve(site, approval));
  const ended = await Promise.all(done);
  const bad = ended.find(({ code }) => code !== 0);
  if (bad) throw new Error(`a push that was approved: ${bad.stderr}`);
  rows.push({
    when: "all of them released",
    "MB held": 0,
    "RSS MB": site.memory(),
    "more, of what came": "",
  });
  return rows;
}

const STEPS = 4;

/** Memory that nobody needs any more is collected when something else needs some. */
async function otherTraffic(site: HeldSite, ms: number): Promise<void> {
  const until = performance.now() + ms;
  const run = async () => {
    while (performance.now() < until) ok(await look(site));
  };
  await Promise.all(Array.from({ length: 4 }, run));
}

async function manyHolds(site: HeldSite, holds: number): Promise<Row[]> {
  const rows: Row[] = [];
  const timed = async <T>(what: string, count: number, work: () => Promise<T>): Promise<T> => {
    const began = performance.now();
    const done = await work();
    const took = performance.now() - began;
    rows.push({ what, s: took / 1000, "ms each": took / count, "RSS MB": String(site.memory()) });
    return done;
  };
  rows.push({ what: "before", s: "", "ms each": "", "RSS MB": String(site.memory()) });
  const came = site.came();
  const tenth = Math.round(holds / 10);
  const written = Array.from({ length: holds - 2 * tenth }, nextMark);
  const asked = await timed(`${written.length} requests, told to come again`, written.length, () =>
    inParallel(written, async (mark) => {
      const { headers, status } = await write(site, mark);
      if (status !== 409) throw new Error(`held requests are answered ${status}`);
      return { mark, approval: String(headers["steno-approval"]) };
    }),
  );
  const told = new Set(asked.map(({ approval }) => approval));
  const calls: Promise<Answered>[] = [];
  const hooks: Promise<Answered>[] = [];
  const all = await timed(`${2 * tenth} calls and hooks, that wait`, 2 * tenth, async () => {
    for (let n = 0; n < tenth; n++) {
      calls.push(call(site, nextMark()));
      const mark = nextMark();
      hooks.push(again(() => hook(site, mark)));
    }
    return untilPending(site, holds);
  });
  await timed("all of them listed", 1, () => site.lead.list());
  // Those that wait first: their clients are the less patient.
  const ordered = all.toSorted((a, b) => Number(told.has(a.approval)) - Number(told.has(b.approval)));
  await timed("all of them approved", holds, () =>
    inParallel(ordered, ({ approval }) => approve(site, approval)),
  );
  await timed("calls and hooks answered after that", 2 * tenth, async () => {
    for (const answered of await Promise.all([...calls, ...hooks])) ok(answered);
  });
  await timed("requests that come again", asked.length, () =>
    inParallel(asked, async ({ mark, approval }) => ok(await write(site, mark, approval))),
  );
  const passed = site.came() - came;
  if (passed !== holds - tenth) throw new Error(`${passed} of ${holds - tenth} came to their server`);
  return rows;
}

/** As the shim does while nobody has decided. */
async function again(ask: () => Promise<Answered>): Promise<Answered> {
  for (let tries = 0; tries < 20; tries++) {
    const answered = await ask();
    if (answered.status !== 202) return answered;
  }
  throw new Error("nobody decides on a hook");
}

async function inParallel<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const run = async () => {
    while (next < all.length) {
      const n = next++;
      results[n] = await work(all[n] as T);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
  return results;
}
