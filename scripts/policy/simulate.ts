/** `steno policy simulate`: what another policy set would have said of what sealed sessions hold. */
import type { Decision } from "#durable/format/decision.ts";
import { oneLine, type Terminal } from "#scripts/cli/terminal.ts";
import { decider } from "#workers/policy/decide.ts";
import { misfit } from "#workers/policy/question/shape.ts";
import { findingLine, openPolicies } from "./open.ts";
import { type PlaceOptions, placeOf, type RecordedQuestion, recordedQuestions } from "./recorded.ts";
import { approvers } from "./test-policies.ts";

export type SimulateOptions = {
  readonly policies: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** How many of each change are shown. */
  readonly examples: number;
  readonly json: boolean;
  readonly recorded: PlaceOptions;
};

type Example = {
  readonly session: string;
  readonly exchange: string;
  readonly at: string;
  readonly subject: string;
  readonly agent?: string;
  readonly what: string;
  readonly reason: string;
};
type Change = {
  readonly from: string;
  readonly to: string;
  /** Those that say so now, and those that said otherwise then. */
  readonly policies: readonly string[];
  readonly were: readonly string[];
  count: number;
  readonly examples: Example[];
};

/** Exit 0: nothing would change; 1: something would; 2: policies or sessions could not be read. */
export async function simulate(options: SimulateOptions, { env, out, err }: Terminal): Promise<number> {
  const { policies, recorded: place, since, examples, json } = options;
  const opened = await openPolicies(policies);
  if ("errors" in opened) {
    for (const error of opened.errors) err(`error: ${findingLine(error, policies)}`);
    return 2;
  }
  const { set } = opened;
  const decide = decider(opened.cedar, set);
  const sealed = await placeOf(place, env);
  const sessions = new Set<string>();
  const changes = new Map<string, Change>();
  const count = { decisions: 0, unasked: 0, unknown: 0, changed: 0 };
  let unread = 0;
  const report = (code: string, object: string, message: string) => {
    unread++;
    err(oneLine(`warning: ${code} ${object}: ${message}`));
  };
  for await (const recorded of recordedQuestions(sealed, since, report)) {
    sessions.add(recorded.session);
    count.decisions++;
    const { asking, principal, decision } = recorded;
    if (!asking) {
      count.unasked++;
      continue;
    }
    if (asking.questions.some((question) => misfit(set.shapes, question) !== undefined)) {
      count.unknown++;
      continue;
    }
    const now = decide(principal, asking.questions, asking.facts);
    if (outcome(now) === outcome(decision)) continue;
    count.changed++;
    note(changes, recorded, now, examples);
  }
  const found = [...changes.values()].toSorted((a, b) => b.count - a.count || (keyOf(a) < keyOf(b) ? -1 : 1));
  if (json) {
    const { decisions, unasked, unknown, changed } = count;
    out(
      JSON.stringify({
        set: set.digest,
        sessions: sessions.size,
        decisions,
        unasked,
        unknown,
        changed,
        changes: found,
      }),
    );
  } else print(found, { ...count, sessions: sessions.size, set: set.digest }, out);
  if (unread > 0) return 2;
  return count.changed === 0 ? 0 : 1;
}

/** What would be noticed: the verdict, who must approve, and what is hidden. */
function outcome(decision: Decision): string {
  const mask = decision.mask ? `, mask ${decision.mask.join(" ")}` : "";
  const hold = decision.verdict === "hold" ? ` for ${decision.hold.map(approvers).join(" and ")}` : "";
  return `${decision.verdict}${hold}${mask}`;
}

const keyOf = ({ from, to, policies, were }: Omit<Change, "count" | "examples">): string =>
  JSON.stringify([from, to, policies, were]);

function note(
  changes: Map<string, Change>,
  recorded: RecordedQuestion,
  now: Decision,
  examples: number,
): void {
  const { decision, session, principal, at, asking } = recorded;
  const kind = { from: outcome(decision), to: outcome(now), policies: now.policies, were: decision.policies };
  const change = changes.get(keyOf(kind)) ?? { ...kind, count: 0, examples: [] };
  changes.set(keyOf(kind), change);
  change.count++;
  if (change.examples.length >= examples) return;
  const parts = asking?.questions.map(({ action, resource }) => `${action} ${resource.id}`) ?? [];
  const more = parts.length > 3 ? ` and ${parts.length - 3} more` : "";
  change.examples.push({
    session,
    exchange: decision.x,
    at: new Date(at).toISOString(),
    subject: principal.subject,
    ...(principal.agent !== undefined && { agent: principal.agent }),
    what: `${parts.slice(0, 3).join(", ")}${more}`,
    reason: now.reason,
  });
}

type Counts = {
  readonly set: string;
  readonly sessions: number;
  readonly decisions: number;
  readonly unasked: number;
  readonly unknown: number;
  readonly changed: number;
};

function print(changes: readonly Change[], counts: Counts, out: Terminal["out"]): void {
  const named = (ids: readonly string[]) => (ids.length === 0 ? "no policy" : ids.join(", "));
  for (const { from, to, policies, were, count, examples } of changes) {
    out(oneLine(`${count} × ${from} → ${to}, by ${named(policies)} (was ${named(were)})`));
    for (const { at, subject, agent, what, reason, session, exchange } of examples) {
      out(
        oneLine(`  ${at} ${agent === undefined ? subject : `${agent} for ${subject}`}: ${what}: ${reason}`),
      );
      out(`    ${session} ${exchange}`);
    }
  }
  const { sessions, decisions, unasked, unknown, changed, set } = counts;
  if (unasked > 0)
    out(`${unasked} decisions do not say what was asked: recorded before that was kept, or too long for it`);
  if (unknown > 0) out(`${unknown} decisions answer questions that this version's schema does not know`);
  out(
    `${changed} of ${decisions - unasked - unknown} decisions in ${sessions} sessions would be others, by SHA-256 ${set}`,
  );
}
