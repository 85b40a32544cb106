import { cpSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Decision } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question, Resource } from "#durable/format/question/question.ts";
import type { Answer } from "#durable/format/tape.ts";
import { build, ROOT } from "#scripts/build.ts";
import { validatePolicies } from "#scripts/policy/validate.ts";
import { accepts, type Child, startChild, until, workspace } from "#test/support/servers/children.ts";
import { freePort } from "#test/support/servers/ports.ts";
import { DEPTH_MAX, OPERATORS_MAX } from "#workers/policy/set/source.ts";

// The evaluator as it is served: bundled, in bare workerd, behind a service binding, with a disk for its policies.
const compatibilityDate = "2026-11-01";
const space = workspace("evaluator");
const policies = join(space.path, "policies");
const workerd = join(createRequire(import.meta.url).resolve("workerd/package.json"), "../bin/workerd");
let port = 0;
let child: Child | undefined;

const CALLER = `export default {
  async fetch(request, env) {
    const { principal, questions, facts } = await request.json();
    return Response.json(await env.EVALUATOR.decide(principal, questions, facts));
  },
};`;

const config = () => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "caller", worker = (
      modules = [(name = "caller.js", esModule = embed "caller.js")], compatibilityDate = "${compatibilityDate}",
      bindings = [(name = "EVALUATOR", service = (name = "evaluator", entrypoint = "Evaluator"))])),
    (name = "evaluator", worker = (
      modules = [(name = "main.js", esModule = embed "dist/main.js"), (name = "cedar.wasm", wasm = embed "dist/cedar.wasm")],
      compatibilityDate = "${compatibilityDate}",
      bindings = [(name = "POLICIES", service = "policies"), (name = "EVALUATOR_SETTINGS", json = "{\\"pollSeconds\\":1}")])),
    (name = "policies", disk = (path = "${policies}", writable = false)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "caller")]
);
`;

async function serve(): Promise<void> {
  await child?.stop();
  port = await freePort();
  writeFileSync(join(space.path, "config.capnp"), config());
  child = startChild(workerd, ["serve", "config.capnp"], {
    cwd: space.path,
    log: join(space.path, `${port}.log`),
  });
  await until(() => accepts(port), "workerd listens");
}

function put(files: Readonly<Record<string, string>>): void {
  rmSync(policies, { recursive: true, force: true });
  mkdirSync(policies);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(policies, name), text);
}

const ann: Principal = { issuer: "https://login.example", subject: "ann", groups: ["developers"] };
const facts: Facts = { now: { day: "2026-11-26", hour: 9, weekday: 4 }, client: "git/2.39.5", taints: [] };
const connection: Resource = { type: "Connection", id: "payments", attrs: { kind: "git" } };
const repository: Resource = {
  type: "Repository",
  id: "payments/app",
  attrs: { path: "app" },
  within: connection,
};
const push = (name: string): Question => ({
  part: name,
  action: "git.push",
  resource: { type: "Ref", id: `payments/app/${name}`, attrs: { name }, within: repository },
  context: {
    old: "1".repeat(40),
    new: "2".repeat(40),
    change: "update",
    atomic: false,
    refs: 1,
    options: [],
    capabilities: [],
  },
});

async function decide(...questions: Question[]): Promise<Answer<Decision>> {
  const body = JSON.stringify({ principal: ann, questions, facts });
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body });
  return (await response.json()) as Answer<Decision>;
}

async function digest(): Promise<string> {
  const valid = await validatePolicies(policies);
  if ("errors" in valid) throw new Error(JSON.stringify(valid.errors));
  return valid.digest;
}

const inForce = async () => {
  const answer = await decide(push("refs/heads/x"));
  return "ok" in answer ? answer.ok.set : answer.no.code;
};
const reported = (code: string) =>
  child
    ?.output()
    .split("\n")
    .filter((line) => line.includes(`"code":"${code}"`)) ?? [];

const PERMIT = `@id("all") permit(principal, action, resource);`;

beforeAll(async () => {
  await build(join(ROOT, "workers/evaluator.ts"), join(space.path, "dist"));
  writeFileSync(join(space.path, "caller.js"), CALLER);
});
afterAll(async () => {
  await child?.stop();
  space.remove();
});

test("the sample policies decide, under the digest that the CLI computes of the same directory", async () => {
  rmSync(policies, { recursive: true, force: true });
  cpSync(join(ROOT, "policies"), policies, { recursive: true });
  await serve();
  const set = await digest();
  expect(await decide(push("refs/heads/topic"))).toMatchObject({
    ok: { verdict: "allow", policies: ["members-write"], set },
  });
  expect(await decide(push("refs/heads/topic"), push("refs/heads/main"))).toEqual({
    ok: {
      verdict: "deny",
      severity: "high",
      policies: ["no-direct-main"],
      set,
      reason: "main changes by review only: push a branch and ask for a merge",
      denied: [
        { part: "refs/heads/main", reason: "main changes by review only: push a branch and ask for a merge" },
      ],
    },
  });
});

test("an edited directory is in force within two poll intervals, and each decision says which set it was", async () => {
  put({ "a.cedar": PERMIT });
  await serve();
  const before = await digest();
  expect(await inForce()).toBe(before);
  put({
    "a.cedar": PERMIT,
    "b.cedar": `@id("shut") @reason("closed today") forbid(principal, action, resource);`,
  });
  const after = await digest();
  await new Promise((resolve) => setTimeout(resolve, 2100));
  expect(await decide(push("refs/heads/x"))).toMatchObject({
    ok: { verdict: "deny", set: after, reason: "closed today" },
  });
  expect(reported("policy_loaded")).toHaveLength(2);
});

test("under steady traffic every decision is by the old set or the new one while it is taken over", async () => {
  put({ "a.cedar": PERMIT });
  await serve();
  const before = await digest();
  expect(await inForce()).toBe(before);
  put({ "a.cedar": `${PERMIT} // edited` });
  const after = await digest();
  const seen = new Set<string>();
  for (const end = Date.now() + 2500; Date.now() < end; ) {
    for (const set of await Promise.all([inForce(), inForce(), inForce(), inForce()])) seen.add(set);
  }
  expect([...seen].sort()).toEqual([before, after].sort());
  expect(await inForce()).toBe(after);
});

test("a broken, emptied or vanished directory keeps the last good set, with an alert line for each", async () => {
  put({ "a.cedar": PERMIT });
  await serve();
  const good = await digest();
  expect(await inForce()).toBe(good);
  put({ "a.cedar": `${PERMIT}\n@id("x") forbid(principal action, resource);` });
  await until(async () => (await inForce()) === good && reported("policy_rejected").length === 1, "an alert");
  expect(JSON.parse(reported("policy_rejected")[0] ?? "")).toMatchObject({
    code: "policy_rejected",
    kept: good,
    errors: [{ file: "a.cedar", line: 2, message: "unexpected token `action`" }],
  });
  put({});
  await until(async () => (await inForce()) === good && reported("policy_rejected").length === 2, "an alert");
  rmSync(policies, { recursive: true });
  await until(async () => (await inForce()) === good && reported("policy_rejected").length === 3, "an alert");
  put({ "a.cedar": `${PERMIT} // mended` });
  const mended = await digest();
  await until(async () => (await inForce()) === mended, "the mended set");
});

test("an empty directory at start refuses, until there is a policy", async () => {
  put({});
  await serve();
  expect(await decide(push("refs/heads/x"))).toEqual({
    no: { code: "policy_unavailable", message: "no valid policies are loaded" },
  });
  expect(reported("policy_rejected")).toHaveLength(1);
  writeFileSync(join(policies, ".a.cedar.new"), PERMIT);
  renameSync(join(policies, ".a.cedar.new"), join(policies, "a.cedar"));
  const set = await digest();
  await until(async () => (await inForce()) === set, "the first set");
});

test("policies that are links, as in a mounted ConfigMap, are read", async () => {
  put({});
  mkdirSync(join(policies, "..data"));
  writeFileSync(join(policies, "..data", "a b.cedar"), PERMIT);
  symlinkSync(join("..data", "a b.cedar"), join(policies, "a b.cedar"));
  await serve();
  expect(await inForce()).toBe(await digest());
});

test("policies at the limits of nesting and length run, and those beyond are rejected while decisions go on", async () => {
  const deep = (depth: number) =>
    `@id("deep") permit(principal, action, resource) when {${"(".repeat(depth - 1)}${`principal == User::"a" || `.repeat(OPERATORS_MAX - 1)}true${")".repeat(depth - 1)}};`;
  put({ "a.cedar": deep(DEPTH_MAX) });
  await serve();
  const set = await digest();
  expect(await decide(push("refs/heads/x"))).toMatchObject({
    ok: { verdict: "allow", policies: ["deep"], set },
  });
  put({ "a.cedar": deep(100_000) });
  await until(async () => (await inForce()) === set && reported("policy_rejected").length === 1, "an alert");
  expect(await inForce()).toBe(set);
});
