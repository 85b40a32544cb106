/** Principals, questions and policy files for the tests of this folder. */
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import * as v from "valibot";
import { Connection } from "#durable/format/connection.ts";
import type { Decision } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { ContextValue, Facts, Question, Resource } from "#durable/format/question/question.ts";
import { guarded } from "#workers/policy/cedar.ts";
import { type Decide, decider } from "#workers/policy/decide.ts";
import { type Opened, openPolicySet, type PolicySet } from "#workers/policy/set/policy-set.ts";
import { digestOf, type PolicyFile } from "#workers/policy/set/source.ts";

export const engine = guarded(cedar);

export const file = (name: string, text: string): PolicyFile => ({
  name,
  bytes: new TextEncoder().encode(text),
});

export async function open(...files: PolicyFile[]): Promise<Opened> {
  return openPolicySet(engine, files, await digestOf(files));
}

export async function opened(...files: PolicyFile[]): Promise<PolicySet> {
  const answer = await open(...files);
  if ("errors" in answer) throw new Error(JSON.stringify(answer.errors));
  return answer.set;
}

export async function errorsOf(...files: PolicyFile[]) {
  const answer = await open(...files);
  return "errors" in answer ? answer.errors : [];
}

/** A Thursday morning in a session in which nothing has happened. */
export const facts: Facts = {
  now: { day: "2026-11-26", hour: 9, weekday: 4 },
  client: "git/2.39.5",
  taints: [],
};

export type DecideNow = (principal: Principal, questions: readonly Question[], now?: Facts) => Decision;

/** Decides on that morning, unless a test names another. */
export const atNow =
  (decide: Decide): DecideNow =>
  (principal, questions, now = facts) =>
    decide(principal, questions, now);

export const decidingBy = (set: PolicySet, cedar = engine): DecideNow => atNow(decider(cedar, set));

/** Decides by one file of policies. */
export async function deciding(text: string): Promise<DecideNow> {
  return atNow(decider(engine, await opened(file("a.cedar", text))));
}

export const person = (subject: string, groups: readonly string[], agent?: string): Principal => ({
  issuer: "https://login.example",
  subject,
  groups: [...groups],
  ...(agent === undefined ? {} : { agent }),
});

export const ann = person("ann", ["developers"]);
export const lea = person("lea", ["developers", "leads"]);
export const max = person("max", ["sales"]);

export const connection: Resource = { type: "Connection", id: "payments", attrs: { kind: "git" } };
export const repository: Resource = {
  type: "Repository",
  id: "payments/app",
  attrs: { path: "app" },
  within: connection,
};

const READING: Readonly<Record<"git.refs" | "git.fetch", Readonly<Record<string, ContextValue>>>> = {
  "git.refs": { service: "git-upload-pack", version: 2 },
  "git.fetch": { version: 2, haves: 0, wants: 1, wantRefs: [], capabilities: ["ofs-delta"] },
};

export const onRepository = (action: "git.refs" | "git.fetch"): Question => ({
  part: "",
  action,
  resource: repository,
  context: READING[action],
});

export const onRef = (
  action: "git.push" | "git.create" | "git.delete" | "git.force",
  name: string,
  context: Readonly<Record<string, ContextValue>> = {},
): Question => ({
  part: name,
  action,
  resource: { type: "Ref", id: `payments/app/${name}`, attrs: { name }, within: repository },
  context: {
    old: "1".repeat(40),
    new: "2".repeat(40),
    change: action.slice(4),
    atomic: false,
    refs: 1,
    options: [],
    capabilities: ["report-status"],
    ...context,
  },
});

export const brief = ({ verdict, policies, denied }: Decision) => ({
  verdict,
  policies,
  denied: denied.map(({ part }) => part),
});

export const connectionSettings = v.parse(Connection, { name: "payments", kind: "git", bodies: "full" });
