/** `steno approvals list|show|approve|deny|break-glass|comment`: asked of the console, with a token of whoever decides. */
import * as v from "valibot";
import { ApprovalId } from "#durable/format/ids.ts";
import { ask, Refused, target } from "#scripts/cli/client.ts";
import { readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { oneLine, TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";
import { type Approval, described, row } from "./describe.ts";

const FLAGS = { comment: "text", console: "text", json: "flag" } as const;
const PATH = "/api/v1/approvals";

type Call = {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: object;
  readonly lines: (answer: unknown) => readonly string[];
};

export async function approvals(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 2);
  const call = callOf(rest, values.comment);
  try {
    const to = target("console", values.console, terminal.env);
    const answer = await ask(to, call.method, call.path, call.body);
    if (values.json === true) terminal.out(JSON.stringify(answer));
    else for (const line of call.lines(answer)) terminal.out(oneLine(line));
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof Refused)) throw thrown;
    terminal.err(`steno approvals: ${thrown.message}`);
    return 1;
  }
}

function callOf([verb, id]: readonly string[], comment: string | undefined): Call {
  switch (verb) {
    case "list":
      if (id !== undefined) throw new UsageFault("approvals list takes no id");
      return { method: "GET", path: PATH, lines: listed };
    case "show":
      return { method: "GET", path: `${PATH}/${idOf(id)}`, lines: (answer) => described(answer as Approval) };
    case "approve":
    case "deny":
    case "break-glass":
    case "comment": {
      if (comment === undefined && (verb === "comment" || verb === "break-glass"))
        throw new UsageFault(verb === "comment" ? "say what: --comment TEXT" : "say why: --comment TEXT");
      const body = comment === undefined ? {} : { comment };
      const told = (answer: unknown) => [row(answer as Approval)];
      return { method: "POST", path: `${PATH}/${idOf(id)}/${verb}`, body, lines: told };
    }
    default:
      throw new UsageFault("say approvals list, show, approve, deny, break-glass or comment");
  }
}

function listed(answer: unknown): readonly string[] {
  const { approvals: all } = answer as { readonly approvals: readonly Approval[] };
  return all.length === 0 ? ["nothing waits for approval"] : all.map(row);
}

function idOf(text: string | undefined): ApprovalId {
  const parsed = v.safeParse(ApprovalId, text);
  if (parsed.success) return parsed.output;
  throw new UsageFault(
    text === undefined ? "which approval? its id begins with apr_" : "that is no approval's id",
  );
}
