/** What a webhook says of a hold: that it waits, or what became of it. In words, never with what is in it. */
import { aboutOf } from "#durable/format/approval/about.ts";
import type { ApprovalEvent, ApprovalRow } from "#durable/format/approval/approval.ts";

/** Plain JSON, an incoming webhook of Slack, or a workflow of Teams. */
export type NoticeShape = "json" | "slack" | "teams";

/** `event` is absent when the hold was opened. */
export type Notice = { readonly row: ApprovalRow; readonly event?: ApprovalEvent };

/** What is told; that somebody looked or said something is for those who look. */
const TOLD: ReadonlySet<ApprovalEvent["step"]> = new Set([
  "approve",
  "deny",
  "break-glass",
  "expire",
  "void",
  "release",
  "revoke",
]);
export const isTold = ({ step }: Pick<ApprovalEvent, "step">): boolean => TOLD.has(step);

/** The body as it is sent. `url` is where people decide, ending in a slash. */
export function bodyOf(shape: NoticeShape, notice: Notice, url: string | undefined): string {
  const link = url === undefined ? undefined : `${url}${notice.row.approval}`;
  switch (shape) {
    case "json":
      return JSON.stringify(plain(notice, link));
    case "slack":
      return JSON.stringify(slack(notice, link));
    case "teams":
      return JSON.stringify(teams(notice, link));
  }
}

function plain({ row, event }: Notice, url: string | undefined): object {
  const { approval, principal, client, connection, operation, reason, hold, justification, expires } = row;
  const { issuer, subject, name, agent } = principal;
  return {
    type: `approval.${event?.step ?? "open"}`,
    approval,
    state: row.state,
    requester: {
      issuer,
      subject,
      ...(name !== undefined && { name }),
      ...(agent !== undefined && { agent }),
    },
    client,
    connection,
    operation: { kind: operation.kind, about: aboutOf(operation) },
    reason,
    hold,
    ...(justification !== undefined && { justification }),
    session: row.session,
    expires,
    ...(event && { n: event.n, at: event.at, ...(event.by && { by: event.by }), ...said(event) }),
    ...(url !== undefined && { url }),
  };
}

const said = ({ text }: ApprovalEvent) => (text === undefined ? {} : { text });

function slack({ row, event }: Notice, url: string | undefined): object {
  const [title, ...facts] = linesOf(row, event).map(escaped);
  const lines = facts.map((line) => `> ${line}`).join("\n");
  const link = url === undefined ? "" : `\n<${url}|${row.approval}>`;
  return {
    text: title,
    blocks: [{ type: "section", text: { type: "mrkdwn", text: `*${title}*\n${lines}${link}` } }],
  };
}

/** Slack's three control characters. */
const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function teams({ row, event }: Notice, url: string | undefined): object {
  const [title = "", ...facts] = linesOf(row, event);
  const block = (text: string, more: object = {}) => ({ type: "TextBlock", text, wrap: true, ...more });
  const content = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.4",
    body: [block(title, { weight: "Bolder" }), ...facts.map((line) => block(line))],
    ...(url !== undefined && { actions: [{ type: "Action.OpenUrl", title: row.approval, url }] }),
  };
  return {
    type: "message",
    attachments: [{ contentType: "application/vnd.microsoft.card.adaptive", content }],
  };
}

/** The first is a title; each on a line of its own, whatever is in it. */
function linesOf(row: ApprovalRow, event: ApprovalEvent | undefined): readonly string[] {
  const { principal, connection, operation, reason, hold, justification, approval, expires } = row;
  const person = principal.name ?? principal.subject;
  const who = principal.agent === undefined ? person : `${principal.agent} for ${person}`;
  const about = aboutOf(operation);
  const groups = hold.map(({ group, count }) => (count === 1 ? group : `${count} of ${group}`)).join(" and ");
  const by = event?.by === undefined ? "" : ` by ${event.by.name ?? event.by.subject}`;
  return [
    event === undefined ? `${who} waits for approval by ${groups}` : `${WORDS[event.step]}${by}: ${who}`,
    `${connection}: ${operation.kind}${about === "" ? "" : ` ${about}`}`,
    reason,
    ...(justification === undefined ? [] : [`they say: ${justification}`]),
    ...(event?.text === undefined ? [] : [`it was said: ${event.text}`]),
    `${approval}, until ${expires}`,
  ].map((line) => line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").slice(0, 1_000));
}

const WORDS: Readonly<Record<ApprovalEvent["step"], string>> = {
  view: "looked at",
  comment: "commented",
  approve: "approved",
  deny: "denied",
  "break-glass": "THE GLASS WAS BROKEN",
  standing: "approved in advance",
  revoke: "cut, since what it was approved by in advance was revoked",
  expire: "not approved in time",
  void: "void",
  release: "sent on",
  outcome: "answered",
};
