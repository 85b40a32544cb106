/** `steno policy test`: each case of a policy directory, decided by its policies. */
import type { Approvers, Decision } from "#durable/format/decision.ts";
import { UsageFault } from "#scripts/cli/flags.ts";
import { oneLine, type Terminal } from "#scripts/cli/terminal.ts";
import { reason } from "#scripts/config/finding.ts";
import { decider } from "#workers/policy/decide.ts";
import { CASES, type Case, readCases } from "./cases.ts";
import { findingLine, openPolicies } from "./open.ts";
import { askedOf } from "./situation.ts";

type Tested = {
  readonly file: string;
  readonly name: string;
  /** What is not as it was to be; empty when all is. */
  readonly wrong: readonly string[];
};

/** Exit 0: every case is as it says; 1: one is not; 2: policies or cases could not be read. */
export async function testPolicies(dir: string, json: boolean, { out, err }: Terminal): Promise<number> {
  const opened = await openPolicies(dir);
  if ("errors" in opened) {
    for (const error of opened.errors) err(`error: ${findingLine(error, dir)}`);
    return 2;
  }
  const { set } = opened;
  const files = await readCases(dir);
  if (files.length === 0) throw new UsageFault(`${dir} has no *${CASES}`);
  const broken = files.flatMap((one) => ("error" in one ? [`error: ${one.file}: ${one.error}`] : []));
  for (const line of broken) err(oneLine(line));
  if (broken.length > 0) return 2;
  const decide = decider(opened.cedar, set);
  const tested: Tested[] = [];
  const used = new Set<string>();
  for (const { file, cases } of files.flatMap((one) => ("cases" in one ? [one] : [])))
    for (const one of cases) {
      let decision: Decision;
      try {
        const { principal, question, facts } = askedOf(one, set.shapes);
        decision = decide(principal, [question], facts);
      } catch (thrown) {
        err(oneLine(`error: ${file}: case "${one.name}": ${reason(thrown)}`));
        return 2;
      }
      for (const id of decision.policies) used.add(id);
      tested.push({ file, name: one.name, wrong: differences(one, decision) });
    }
  const failed = tested.filter(({ wrong }) => wrong.length > 0);
  const untested = [...set.policies.keys()].filter((id) => !used.has(id));
  if (json) {
    out(JSON.stringify({ set: set.digest, cases: tested.length, failed, untested }));
    return failed.length === 0 ? 0 : 1;
  }
  for (const { file, name, wrong } of failed) {
    out(oneLine(`failed: ${file}: ${name}`));
    for (const each of wrong) out(`  ${oneLine(each)}`);
  }
  for (const id of untested) err(`warning: no case is decided by ${id}`);
  out(`${tested.length - failed.length} of ${tested.length} cases are as they say, by SHA-256 ${set.digest}`);
  return failed.length === 0 ? 0 : 1;
}

function differences(expected: Case, decision: Decision): string[] {
  const wrong: string[] = [];
  const compare = (what: string, wanted: unknown, got: unknown) => {
    if (JSON.stringify(wanted) !== JSON.stringify(got))
      wrong.push(`${what}: expected ${show(wanted)}, got ${show(got)}`);
  };
  compare("verdict", expected.verdict, decision.verdict);
  if (expected.policies) compare("policies", expected.policies.toSorted(), [...decision.policies]);
  if (expected.hold)
    compare(
      "hold",
      expected.hold.toSorted(),
      (decision.verdict === "hold" ? decision.hold : []).map(approvers).toSorted(),
    );
  if (expected.mask) compare("mask", expected.mask.toSorted(), [...(decision.mask ?? [])]);
  if (expected.reason !== undefined && !decision.reason.includes(expected.reason))
    wrong.push(`reason: expected something with ${show(expected.reason)}, got ${show(decision.reason)}`);
  else if (wrong.length > 0) wrong.push(`because: ${decision.reason}`);
  return wrong;
}

export const approvers = ({ group, count }: Approvers): string => (count === 1 ? group : `${count} ${group}`);

const show = (value: unknown): string =>
  Array.isArray(value) ? (value.length === 0 ? "none" : value.join(", ")) : JSON.stringify(value);
