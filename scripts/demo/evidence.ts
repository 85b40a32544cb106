/** What a sealed session says, read from its stored objects alone: who, what was done, what was refused and why. */

import * as v from "valibot";
import type { Commit, DecisionFrame, Frame, RequestFrame, SessionStart } from "#durable/format/frame.ts";
import { SessionId } from "#durable/format/ids.ts";
import { SEAL_NAME, sessionFolder } from "#durable/format/layout.ts";
import { fromBase64, toHex } from "#durable/proof/bytes.ts";
import { readSession } from "#durable/proof/read/session.ts";
import { openHead } from "#durable/proof/seal.ts";
import { oneLine } from "#scripts/cli/terminal.ts";
import { folderSource } from "#scripts/verify/folder.ts";

export type Sealed = {
  readonly frames: number;
  /** SHA-256 root over all frames, lower-case hex. */
  readonly root: string;
  /** For people, one fact a line. */
  readonly report: readonly string[];
};

/** Throws when the evidence cannot be read or is not as its seal says. */
export async function readEvidence(evidence: string, id: string): Promise<Sealed> {
  const session = v.parse(SessionId, id);
  const folder = sessionFolder(session);
  const source = folderSource(evidence);
  const seal = await source.get(folder + SEAL_NAME);
  if (!seal) throw new Error(`${evidence} has no seal of ${session}`);
  const { statement, wrong } = await openHead(seal, undefined);
  if (!statement) throw new Error(`${folder}${SEAL_NAME}: ${wrong?.message ?? "cannot be read"}`);
  const { head, segments } = statement.predicate;
  const report = (code: string, object: string, message: string) => {
    throw new Error(`${code} ${object}: ${message}`);
  };
  const frames: Frame[] = [];
  for await (const item of readSession({ source, folder, segments, report, whole: true }))
    if (item.kind === "frame" && item.frame) frames.push(item.frame);
  const root = toHex(fromBase64(head.rootHash) ?? new Uint8Array());
  const pushed = statement.subject.flatMap(({ digest }) => digest["gitCommit"] ?? []);
  return { frames: head.size, root, report: summarise(frames, new Set(pushed)) };
}

/** `pushed` are the commits the seal names: those of pushes that were let through. */
function summarise(frames: readonly Frame[], pushed: ReadonlySet<string>): string[] {
  const start = frames.find((frame): frame is SessionStart => frame.k === "session.start");
  const requests = frames.filter((frame): frame is RequestFrame => frame.k === "request");
  const commits = frames.flatMap((frame) => (frame.k === "git" ? (frame.commits ?? []) : []));
  return [
    `who       ${start ? who(start) : "nobody"}`,
    `recorded  ${requests.length} exchanges in ${frames.length} frames: ${counted(requests)}`,
    ...new Set(commits.filter(({ id }) => pushed.has(id)).map((commit) => `pushed    ${shown(commit)}`)),
    ...masked(frames),
    ...decisions(frames, requests),
    ...frames.filter(isDenial).map((denial) => `refused   ${denied(denial, requests)}`),
  ];
}

function who({ principal, client }: SessionStart): string {
  const { name, subject, groups, agent } = principal;
  const person = `${name ?? subject} (${subject}; ${groups.join(", ")})`;
  return `${agent === undefined ? person : `${agent} for ${person}`}, client ${client}`;
}

function counted(requests: readonly RequestFrame[]): string {
  const kinds = Map.groupBy(requests, ({ operation }) => operation.kind);
  return [...kinds].map(([kind, { length }]) => `${length} ${kind}`).join(", ");
}

const isDenial = (frame: Frame): frame is DecisionFrame => frame.k === "decision" && frame.verdict === "deny";

function denied({ x, reason, policies }: DecisionFrame, requests: readonly RequestFrame[]): string {
  return `${operationOf(x, requests)}: ${reason} (policy ${policies.join(", ") || "none"})`;
}

/** What people said of what waited. */
const decisions = (frames: readonly Frame[], requests: readonly RequestFrame[]): string[] =>
  frames.flatMap((frame) => {
    if (frame.k !== "approval" || (frame.step !== "approve" && frame.step !== "deny")) return [];
    const verb = frame.step === "approve" ? "approved" : "denied  ";
    const by = frame.by?.name ?? frame.by?.subject ?? "?";
    return [oneLine(`${verb}  ${operationOf(frame.x, requests)}: ${by}: ${frame.text ?? ""}`)];
  });

function operationOf(x: string, requests: readonly RequestFrame[]): string {
  const operation = requests.find((request) => request.x === x)?.operation;
  const refs =
    operation?.kind === "git.push" ? operation.updates.map(({ ref, change }) => `${change} ${ref}`) : [];
  return [operation?.kind ?? "?", refs.join(", ")].filter((word) => word !== "").join(" ");
}

const shown = ({ id, author, message }: Commit): string =>
  oneLine(`${id.slice(0, 12)} ${author.split(" <")[0]}: ${message.split("\n")[0]}`);

function masked(frames: readonly Frame[]): string[] {
  const hidden = Map.groupBy(
    frames.flatMap((frame) => (frame.k === "mask" ? [frame] : [])),
    ({ detector }) => detector,
  );
  return [...hidden].map(([detector, { length }]) => `masked    ${length} of ${detector}`);
}
