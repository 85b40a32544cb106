/** `steno policy explain`: what each policy makes of one question, and where it stops. */
import { readFile } from "node:fs/promises";
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import * as v from "valibot";
import type { Decision } from "#durable/format/decision.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import { oneLine, type Terminal } from "#scripts/cli/terminal.ts";
import { decider } from "#workers/policy/decide.ts";
import type { PolicySet } from "#workers/policy/set/policy-set.ts";
import { explained } from "./cases.ts";
import { type Stop, stopOf } from "./clauses.ts";
import { findingLine, openPolicies } from "./open.ts";
import { type PlaceOptions, placeOf, recordedQuestions } from "./recorded.ts";
import { type Asked, askedOf, Situation } from "./situation.ts";

export type ExplainOptions = {
  readonly policies: string;
  /** A question in a file, as `Situation` has it. */
  readonly file: string | undefined;
  readonly recorded: (PlaceOptions & { readonly exchange: string }) | undefined;
  readonly json: boolean;
};

type Explained = {
  readonly id: string;
  readonly effect: string;
  readonly file: string;
  readonly line: number;
  readonly reason?: string;
  readonly hold?: readonly { readonly group: string; readonly count: number }[];
} & Stop;

/** Exit 0: allowed; 1: denied or held; 2: policies or question could not be read. */
export async function explain(options: ExplainOptions, terminal: Terminal): Promise<number> {
  const { policies, json } = options;
  const { out, err } = terminal;
  const opened = await openPolicies(policies);
  if ("errors" in opened) {
    for (const error of opened.errors) err(`error: ${findingLine(error, policies)}`);
    return 2;
  }
  const { set } = opened;
  const asked = options.recorded
    ? await recordedQuestion(options.recorded, terminal)
    : [await written(options.file ?? "", set)];
  const decide = decider(opened.cedar, set);
  const [first] = asked;
  if (!first) throw new Error("nothing was asked");
  const decision = decide(
    first.principal,
    asked.map(({ question }) => question),
    first.facts,
  );
  const parts = asked.map((one) => ({
    action: one.question.action,
    resource: one.question.resource.id,
    policies: [...set.policies.values()].map((policy): Explained => {
      const { id, effect, file, line, reason, hold } = policy;
      const said = { ...(reason !== undefined && { reason }), ...(hold && { hold }) };
      return { id, effect, file, line, ...said, ...stopOf(cedar, set, policy, one) };
    }),
  }));
  if (json) out(JSON.stringify({ ...decision, principal: first.principal, facts: first.facts, parts }));
  else print(decision, parts, out);
  return decision.verdict === "allow" ? 0 : 1;
}

async function written(path: string, set: PolicySet): Promise<Asked> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new Error(`${path} cannot be read as JSON`, { cause });
  }
  const parsed = v.safeParse(Situation, json);
  if (!parsed.success) throw new Error(`${path}: ${explained(parsed.issues[0])}`);
  return askedOf(parsed.output, set.shapes);
}

async function recordedQuestion(
  options: NonNullable<ExplainOptions["recorded"]>,
  { env, err }: Terminal,
): Promise<readonly Asked[]> {
  const { exchange, path } = options;
  if (!/^exc_[0-9A-HJKMNP-TV-Z]{26}$/.test(exchange))
    throw new UsageFault(`"${exchange}" is not the id of an exchange`);
  const place = await placeOf(options, env);
  const report = (code: string, object: string, message: string) =>
    err(oneLine(`warning: ${code} ${object}: ${message}`));
  for await (const { decision, principal, asking } of recordedQuestions(place, 0, report)) {
    if (decision.x !== exchange) continue;
    if (!asking) throw new Error(`the decision on ${exchange} does not say what was asked`);
    return asking.questions.map((question) => ({ principal, question, facts: asking.facts }));
  }
  throw new Error(`${path} holds no decision on ${exchange}`);
}

type Part = { readonly action: string; readonly resource: string; readonly policies: readonly Explained[] };

function print(decision: Decision, parts: readonly Part[], out: Terminal["out"]): void {
  for (const { action, resource, policies } of parts) {
    out(oneLine(`${action} on ${resource}`));
    for (const outcome of ["applies", "fails", "does not apply"] as const)
      for (const { id, effect, file, line, because, reason } of policies.filter(
        (one) => one.outcome === outcome,
      )) {
        const why = outcome === "applies" ? reason : because;
        out(oneLine(`  ${outcome}: ${effect} ${id} (${file}:${line})${why === undefined ? "" : `: ${why}`}`));
      }
    const others = Map.groupBy(
      policies.filter(({ outcome }) => outcome === "out of scope"),
      ({ because }) => because ?? "",
    );
    for (const [because, some] of others)
      out(oneLine(`  ${because}: ${some.map(({ id }) => id).join(", ")}`));
  }
  if (decision.mask) out(`mask: ${decision.mask.join(", ")}`);
  if (decision.verdict === "hold")
    out(
      oneLine(`approval by: ${decision.hold.map(({ group, count }) => `${count} of ${group}`).join(", ")}`),
    );
  out(oneLine(`${decision.verdict}: ${decision.reason}`));
}
