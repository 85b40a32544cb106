// What a decision costs: Cedar in Node with 200 policies, asked anew and asked again, of sets in which few or all policies apply.
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import type { Facts, Question, Resource } from "#durable/format/question/question.ts";
import { guarded } from "#workers/policy/cedar.ts";
import { type Decide, decider } from "#workers/policy/decide.ts";
import { openPolicySet } from "#workers/policy/set/policy-set.ts";
import { digestOf } from "#workers/policy/set/source.ts";
import { median, quantile, type Row } from "./measure.ts";

const POLICIES = 200;
/** What the first questions of a set cost is shown by itself: they make its slices. */
const WARM = 20;

const ANN = { issuer: "https://login.example", subject: "ann", groups: ["developers", "leads"] };
const FACTS: Facts = { now: { day: "2026-11-26", hour: 9, weekday: 4 }, client: "git/2.39.5", taints: [] };
const CONNECTION: Resource = { type: "Connection", id: "code", attrs: { kind: "git" } };
const REPOSITORY: Resource = {
  type: "Repository",
  id: "code/app",
  attrs: { path: "app" },
  within: CONNECTION,
};

const PERMIT = `@id("all") permit(principal in Group::"developers", action in Action::"git.write", resource);`;

/** As sets grow in use: rules of teams, connections and repositories, of which few concern one push. */
const scoped = (n: number): string =>
  n % 2 === 0
    ? `@id("p${n}") @reason("theirs") permit(principal in Group::"team${n}", action in Action::"git.read", resource in Connection::"c${n}") when { context.now.hour > 6 };`
    : `@id("f${n}") @reason("closed") forbid(principal, action in Action::"git.write", resource in Repository::"code/r${n}") when { resource is Ref && resource.name like "refs/heads/release/*" };`;

/** The worst case: every policy looks at every push. */
const unscoped = (n: number): string =>
  `@id("f${n}") @reason("closed") forbid(principal, action in Action::"git.write", resource is Ref) when { resource.name like "refs/heads/release/${n}/*" && context.touches.contains("folder${n}/") };`;

const push = (n: number, paths: readonly string[]): Question => ({
  part: `refs/heads/r${n}`,
  action: "git.push",
  resource: {
    type: "Ref",
    id: `code/app/refs/heads/r${n}`,
    attrs: { name: `refs/heads/r${n}` },
    within: REPOSITORY,
  },
  context: {
    old: "1".repeat(40),
    new: "2".repeat(40),
    change: "update",
    atomic: false,
    refs: 1,
    options: [],
    capabilities: ["report-status", "side-band-64k"],
    paths,
    inspected: true,
  },
});

const paths = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `src/part${n % 40}/file${n}.ts`);

async function opened(policy: (n: number) => string): Promise<{ decide: Decide; ms: number }> {
  const text = [PERMIT, ...Array.from({ length: POLICIES - 1 }, (_, n) => policy(n))].join("\n");
  const files = [{ name: "bench.cedar", bytes: new TextEncoder().encode(text) }];
  const engine = guarded(cedar);
  const begun = performance.now();
  const answer = openPolicySet(engine, files, await digestOf(files));
  if ("errors" in answer) throw new Error(JSON.stringify(answer.errors[0]));
  return { decide: decider(engine, answer.set), ms: performance.now() - begun };
}

/** Times of `rounds` decisions in microseconds, those of the first ones left out. */
function timed(decide: Decide, rounds: number, questionOf: (n: number) => Question): number[] {
  const times: number[] = [];
  for (let n = 0; n < WARM + rounds; n++) {
    const asked = [questionOf(n)];
    const begun = performance.now();
    const { verdict } = decide(ANN, asked, FACTS);
    const us = (performance.now() - begun) * 1000;
    if (verdict !== "allow") throw new Error(`the push was to be allowed, and is: ${verdict}`);
    if (n >= WARM) times.push(us);
  }
  return times;
}

export async function measurePolicy(rounds: number): Promise<Row[]> {
  const sets = [
    ["200 policies, 1 in scope", scoped],
    ["200 policies, all in scope", unscoped],
  ] as const;
  const rows: Row[] = [];
  for (const [name, policy] of sets) {
    const { decide, ms } = await opened(policy);
    const known = paths(10);
    const asked: readonly (readonly [string, number[]])[] = [
      ["a new question", timed(decide, rounds, (n) => push(n, []))],
      ["of 100 paths", timed(decide, rounds, (n) => push(n, paths(100)))],
      ["of 10,000 paths", timed(decide, Math.ceil(rounds / 100), (n) => push(n, paths(10_000)))],
      ["the same again", timed(decide, rounds, () => push(0, known))],
    ];
    const [first = Number.NaN] = asked.map(([, times]) => median(times));
    for (const [question, times] of asked) {
      const p50 = median(times);
      rows.push({
        set: name,
        question,
        "p50 µs": p50,
        "p99 µs": quantile(times, 0.99),
        "to a new one": p50 / first,
        "load ms": ms,
      });
    }
  }
  return rows;
}
