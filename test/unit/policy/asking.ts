/** Principals, questions and policy files for the tests of this folder. */
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import type { Decision } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { ContextValue, Question, Resource } from "#workers/contract/evaluator.ts";
import { guarded } from "#workers/policy/cedar.ts";
import { type Decide, decider } from "#workers/policy/decide.ts";
import { type Opened, openPolicySet, type PolicySet } from "#workers/policy/policy-set.ts";
import { digestOf, type PolicyFile } from "#workers/policy/source.ts";

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

/** Decides by one file of policies. */
export async function deciding(text: string): Promise<Decide> {
  return decider(engine, await opened(file("a.cedar", text)));
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
  id: "payments/app.git",
  attrs: { path: "app.git" },
  within: connection,
};

export const onRepository = (
  action: "git.refs" | "git.fetch",
  context: Readonly<Record<string, ContextValue>> = { version: 2 },
): Question => ({ part: "", action, resource: repository, context });

export const onRef = (
  action: "git.push" | "git.create" | "git.delete" | "git.force",
  name: string,
  context: Readonly<Record<string, ContextValue>> = { atomic: false, options: [] },
): Question => ({
  part: name,
  action,
  resource: { type: "Ref", id: `payments/app.git:${name}`, attrs: { name }, within: repository },
  context,
});

export const brief = ({ verdict, policies, denied }: Decision) => ({
  verdict,
  policies,
  denied: denied.map(({ part }) => part),
});
