/** Questions in, one decision out. Deny overrides, silence denies, and so does anything that goes wrong. */
import type { Approvers, Decision, Denied } from "#durable/format/decision.ts";
import type { Principal } from "#durable/format/principal.ts";
import type { Facts, Question } from "#durable/format/question/question.ts";
import type { Cedar } from "./cedar.ts";
import { highest, type Ruling, rule } from "./question/ruling.ts";
import type { PolicySet } from "./set/policy-set.ts";

export type Decide = (principal: Principal, questions: readonly Question[], facts: Facts) => Decision;

/** Answers remembered for each set, and the longest question worth remembering, in UTF-16 units. */
const REMEMBERED = 4096;
const KEY_MAX = 4096;
/** Reasons spelled out in one decision; every refused part still carries its own. */
const REASONS_MAX = 8;

/**
 * Decides by one set, and remembers answers for as long as the returned function lives. An operation is allowed when
 * every question is, held when no question is denied, and denied otherwise; the decision does not depend on the order of
 * the questions. Throws only when Cedar has stopped.
 */
export function decider(cedar: Cedar, set: PolicySet, remembered = REMEMBERED): Decide {
  const answers = new Map<string, Ruling>();
  const known = (principal: Principal, question: Question, facts: Facts): Ruling => {
    const { part, action, resource, context } = question;
    const { issuer, subject, groups, agent } = principal;
    const key = JSON.stringify([issuer, subject, agent, groups, part, action, resource, context, facts]);
    const answer = answers.get(key);
    if (answer) answers.delete(key);
    const ruling = answer ?? rule(cedar, set, principal, question, facts);
    if (key.length <= KEY_MAX) answers.set(key, ruling);
    if (answers.size > remembered) answers.delete(answers.keys().next().value as string);
    return ruling;
  };
  return (principal, questions, facts) =>
    combine(
      set.digest,
      questions.map((question) => [question, known(principal, question, facts)] as const),
    );
}

type Ruled = readonly (readonly [Question, Ruling])[];

function combine(digest: string, rulings: Ruled): Decision {
  if (rulings.length === 0) {
    return { verdict: "deny", policies: [], set: digest, reason: "nothing was asked", denied: [] };
  }
  const refused = rulings.filter(([, { verdict }]) => verdict !== "allow");
  const fatal = refused.filter(([, { verdict }]) => verdict === "deny");
  const deciding = [fatal, refused, rulings].find(({ length }) => length > 0) ?? rulings;
  const rulingsOf = (some: Ruled) => some.map(([, ruling]) => ruling);
  const mask = sorted(rulingsOf(rulings).flatMap((ruling) => ruling.mask));
  const taint = fatal.length > 0 ? [] : sorted(rulingsOf(rulings).flatMap((ruling) => ruling.taint));
  const severity = highest(rulingsOf(deciding).map((ruling) => ruling.severity));
  const said = {
    policies: sorted(rulingsOf(deciding).flatMap((ruling) => ruling.policies)),
    set: digest,
    reason: reasonOf(rulingsOf(deciding)),
    denied: deniedOf(refused),
    ...(mask.length > 0 && { mask }),
    ...(taint.length > 0 && { taint }),
    ...(severity && { severity }),
  };
  if (fatal.length > 0) return { verdict: "deny", ...said };
  if (refused.length > 0) return { verdict: "hold", hold: groupsOf(rulingsOf(refused)), ...said };
  return { verdict: "allow", ...said };
}

function reasonOf(rulings: readonly Ruling[]): string {
  const reasons = sorted(rulings.flatMap((ruling) => ruling.reasons));
  const more = reasons.length > REASONS_MAX ? [`and ${reasons.length - REASONS_MAX} more`] : [];
  return [...reasons.slice(0, REASONS_MAX), ...more].join("; ");
}

function deniedOf(refused: Ruled): readonly Denied[] {
  const byPart = Map.groupBy(refused, ([{ part }]) => part);
  const parts = [...byPart].filter(([part]) => part !== "").toSorted(([a], [b]) => (a < b ? -1 : 1));
  return parts.map(([part, own]) => ({
    part,
    reason: sorted(own.flatMap(([, { reasons }]) => reasons)).join("; "),
  }));
}

/** Of each group the most that any part asks for. */
function groupsOf(rulings: readonly Ruling[]): readonly Approvers[] {
  const counts = new Map<string, number>();
  for (const { group, count } of rulings.flatMap((ruling) => ruling.hold))
    counts.set(group, Math.max(count, counts.get(group) ?? 0));
  return sorted([...counts.keys()]).map((group) => ({ group, count: counts.get(group) ?? 1 }));
}

const sorted = (words: readonly string[]): string[] => [...new Set(words)].sort();
