import { expect, test } from "vitest";
import type { Principal } from "#durable/format/principal.ts";
import type { Question } from "#durable/format/question/question.ts";
import type { Evaluator } from "#workers/contract/evaluator.ts";
import { MOMENT_MS, remembering } from "#workers/policy/remembering.ts";
import { facts } from "./asking.ts";

const alice: Principal = { issuer: "i", subject: "alice", groups: ["developers"] };
const question = (id: string): Question => ({
  part: "",
  action: "git.refs",
  resource: { type: "Repository", id, attrs: { path: id } },
  context: { service: "git-upload-pack" },
});

/** An evaluator at the other end of a call, whose answers change when its policies do. */
function counting() {
  const policies = { verdict: "allow" as "allow" | "deny", available: true };
  const asked: string[] = [];
  const evaluator: Evaluator = {
    async verdicts(principal, questions) {
      asked.push(...questions.map(({ resource }) => `${principal.subject} ${resource.id} by itself`));
      return { ok: questions.map(() => ({ verdict: policies.verdict, policies: [] })) };
    },
    async decide(principal, questions) {
      asked.push(`${principal.subject} ${questions[0]?.resource.id}`);
      if (!policies.available) return { no: { code: "policy_unavailable", message: "none" } };
      return { ok: { verdict: policies.verdict, policies: [], set: "0".repeat(64), reason: "", denied: [] } };
    },
    async covering(scopes) {
      return { ok: scopes.flatMap((scope, at) => (scope === policies.verdict ? [at] : [])) };
    },
  };
  return { policies, asked, evaluator };
}

test("the same question in the same moment is asked once, by another principal or of another thing again", async () => {
  const { asked, evaluator } = counting();
  const remembered = remembering(evaluator, () => 0);
  for (const who of [alice, alice, { ...alice, subject: "bob" }, { ...alice, groups: [] }])
    await remembered.decide(who, [question("code/app")], facts);
  await remembered.decide(alice, [question("code/other")], facts);
  expect(asked).toEqual(["alice code/app", "bob code/app", "alice code/app", "alice code/other"]);
});

test("a changed policy is in force after a moment", async () => {
  const { policies, evaluator } = counting();
  let time = 0;
  const remembered = remembering(evaluator, () => time);
  await remembered.decide(alice, [question("code/app")], facts);
  policies.verdict = "deny";
  time = MOMENT_MS;
  expect(await remembered.decide(alice, [question("code/app")], facts)).toMatchObject({
    ok: { verdict: "deny" },
  });
});

test("a question that could not be answered is asked again", async () => {
  const { policies, asked, evaluator } = counting();
  policies.available = false;
  const remembered = remembering(evaluator, () => 0);
  expect(await remembered.decide(alice, [question("code/app")], facts)).toMatchObject({
    no: { code: "policy_unavailable" },
  });
  policies.available = true;
  expect(await remembered.decide(alice, [question("code/app")], facts)).toMatchObject({
    ok: { verdict: "allow" },
  });
  expect(asked).toHaveLength(2);
});
