/** A tool of the gateway's own: a model whose call is held waits by it until somebody has decided. */
import * as v from "valibot";
import type { HoldNews } from "#durable/format/approval/approval.ts";
import { ApprovalId } from "#durable/format/ids.ts";
import type { McpOperation } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Incoming, Inspected } from "../adapter.ts";
import { questionsOf } from "./questions.ts";

const NAME = "steno_wait";
/** Clients give a call up after 60 s. */
const SECONDS = 45;

export const waitToolName = (prefix = ""): string => `${prefix}${NAME}`;

/** As `tools/list` has it. */
export const waitTool = (prefix: string | undefined): object => ({
  name: waitToolName(prefix),
  description:
    "Waits until a person has decided on a tool call that the gateway holds for approval, at most 45 s. Then make the held call again, with the very same arguments.",
  inputSchema: {
    type: "object",
    properties: {
      approval: {
        type: "string",
        description: "The approval's id, apr_…, as the held call's answer names it",
      },
    },
    required: ["approval"],
  },
  annotations: { readOnlyHint: true, openWorldHint: false },
});

type McpInspected = Inspected<McpOperation>;

/** Whoever may list a server's tools may wait for one; nothing of it goes to the server. */
export function waitCall(inspected: McpInspected, given: unknown, { connection }: Incoming): McpInspected {
  const { operation } = inspected;
  const asked = v.safeParse(v.object({ approval: ApprovalId }), given);
  if (!asked.success)
    throw new Refusal(
      "malformed",
      `${NAME} takes {"approval": "apr_…"}, the id that the held call's answer names`,
    );
  const listing: McpOperation = { ...operation, kind: "mcp.tools/list", method: "tools/list" };
  return {
    ...inspected,
    questions: questionsOf(listing, connection, {}, 0),
    waits: {
      approval: asked.output.approval,
      seconds: SECONDS,
      answer: (news) => answered(operation.id, news),
    },
  };
}

function answered(id: McpOperation["id"], news: HoldNews | undefined): Response {
  const { text, isError } = told(news);
  const result = { content: [{ type: "text", text }], ...(isError && { isError }) };
  const body = new TextEncoder().encode(JSON.stringify({ jsonrpc: "2.0", id, result }));
  return new Response(body, {
    headers: { "content-type": "application/json", "content-length": `${body.byteLength}` },
  });
}

function told(news: HoldNews | undefined): { readonly text: string; readonly isError?: true } {
  if (!news) return { text: "There is no such approval of yours.", isError: true };
  const { approval, state, events } = news;
  const last = events.findLast(({ step }) => step === "deny" || step === "approve" || step === "void");
  const by = last?.by === undefined ? "" : ` by ${last.by.name ?? last.by.subject}`;
  const said = last?.text === undefined ? "" : `: ${last.text}`;
  switch (state) {
    case "pending":
      return { text: `Nobody has decided on ${approval} yet. Call ${NAME} again to go on waiting.` };
    case "approved":
      return { text: `Approved${by}${said}. Make the held call again now, with the very same arguments.` };
    case "denied":
      return { text: `Denied${by}${said}. The held call will not be made.`, isError: true };
    case "released":
      return { text: `${approval} has been used: the call it was for was made.` };
    case "expired":
    case "void":
      return { text: `${approval} is ${state}${said}. Make the call again to ask anew.`, isError: true };
  }
}
