/** What waits for approval, in lines. Text of others is made one line each by whoever prints it. */
import type { ApprovalEvent, ApprovalRow, ApprovalView, SoFar } from "#durable/format/approval/approval.ts";
import type { DefinitionFrame } from "#durable/format/catalogue/catalogue.ts";
import type { Content, GitFrame } from "#durable/format/frame.ts";
import type { Operation } from "#durable/format/operation.ts";

/** A newer console may say more. */
export type Approval = ApprovalRow & Partial<Pick<ApprovalView, "events" | "shown" | "omitted" | "soFar">>;

export const row = (approval: Approval): string =>
  [
    approval.approval,
    approval.state.padEnd(8),
    approval.openedAt,
    who(approval),
    approval.connection,
    short(approval.operation),
    `by ${groups(approval)}`,
  ].join("  ");

export function described(approval: Approval): readonly string[] {
  const { justification, events = [], shown = [], omitted, soFar } = approval;
  return [
    `approval ${approval.approval}`,
    `state ${approval.state}, until ${approval.expires}`,
    `asked by ${who(approval)} of ${approval.principal.issuer} with ${approval.client}`,
    `session ${approval.session}, exchange ${approval.exchange}`,
    `operation ${short(approval.operation)} on ${approval.connection}`,
    `reason ${approval.reason} (${approval.policies.join(", ")})`,
    `takes ${groups(approval)}`,
    ...(justification === undefined ? [] : [`justification ${justification}`]),
    ...shown.flatMap(linesOf),
    ...(omitted === undefined ? [] : [`and ${omitted} more frames, which the session has`]),
    ...(soFar === undefined ? [] : soFarLines(soFar)),
    ...events.map(eventLine),
  ];
}

const who = ({ principal: { subject, agent } }: Approval): string =>
  agent === undefined ? subject : `${agent} for ${subject}`;

const groups = ({ hold }: Approval): string =>
  hold.map(({ group, count }) => (count === 1 ? group : `${count} of ${group}`)).join(" and ");

function short(operation: Operation): string {
  if (operation.kind === "git.push")
    return `git.push ${operation.repository} ${operation.updates.map(({ ref, change }) => `${change} ${ref}`).join(", ")}`;
  if (operation.kind === "http.request") return `${operation.method} ${operation.path}`;
  if ("name" in operation && operation.name !== undefined) return `${operation.kind} ${operation.name}`;
  return operation.kind;
}

function linesOf(frame: Content): readonly string[] {
  if (frame.k === "git") return gitLines(frame);
  return frame.k === "definition" ? definitionLines(frame) : [JSON.stringify(frame)];
}

function definitionLines({
  tool,
  pinned,
  shown,
  withdrawn,
  patch,
  omitted,
}: DefinitionFrame): readonly string[] {
  return [
    `  the definition of ${tool} has changed: ${pinned} -> ${shown}`,
    ...(withdrawn
      ? ["  the server has gone back since: the agent has read the new one, and the old one is the pin"]
      : []),
    ...patch.split("\n").map((line) => `  ${line}`),
    ...(omitted === undefined ? [] : [`  and ${omitted} letters more, which the list in the record has`]),
  ];
}

function gitLines({ updates, commits, changes, diffs, uncompared }: GitFrame): readonly string[] {
  return [
    ...(updates ?? []).map((update) => `  ${update.change} ${update.ref} ${update.old} -> ${update.new}`),
    ...(commits ?? []).map(
      ({ id, author, message }) => `  commit ${id} ${author}: ${message.split("\n", 1)[0]}`,
    ),
    ...(changes?.paths ?? []).map(({ status, path }) => `  ${status} ${path}`),
    ...(diffs ?? []).flatMap(({ path, patch }) => [
      `  --- ${path}`,
      ...patch.split("\n").map((line) => `  ${line}`),
    ]),
    ...(uncompared === undefined ? [] : [`  not compared: ${uncompared}`]),
  ];
}

function soFarLines({ openedAt, exchanges, denied, taints, done }: SoFar): readonly string[] {
  const tainted = taints.length === 0 ? "" : `, with ${taints.join(", ")} to its name`;
  return [
    `session so far: ${exchanges} exchanges since ${openedAt}, ${denied} denied${tainted}`,
    ...done.map(({ at = "", connection, kind, about, verdict = "", status = "" }) =>
      `  ${at} ${connection} ${kind} ${about} ${verdict} ${status}`.trimEnd(),
    ),
  ];
}

function eventLine({ at, step, by, text }: ApprovalEvent): string {
  const said = text === undefined ? "" : `: ${text}`;
  return `${at} ${step}${by === undefined ? "" : ` ${by.name ?? by.subject}`}${said}`;
}
