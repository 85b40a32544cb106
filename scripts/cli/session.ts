/** `steno session list|show|end|kill`: live and sealed sessions of a running gateway. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { ask, Refused, type Socket, target } from "./client.ts";
import { readFlags, UsageFault } from "./flags.ts";
import { oneLine, TERMINAL, type Terminal } from "./terminal.ts";

const FLAGS = { json: "flag", mine: "flag", console: "text", gateway: "text" } as const;

const count = v.number();
/** What is shown of a session; a newer gateway may say more. */
const View = v.looseObject({
  session: SessionId,
  status: v.string(),
  principal: v.looseObject({
    issuer: v.string(),
    subject: v.string(),
    name: v.optional(v.string()),
    agent: v.optional(v.string()),
  }),
  client: v.string(),
  conversation: v.optional(v.string()),
  openedAt: v.string(),
  endedAt: v.optional(v.string()),
  reason: v.optional(v.string()),
  frames: count,
  exchanges: count,
  denied: count,
  bytes: count,
  backlog: count,
  root: v.optional(v.string()),
});
type View = v.InferOutput<typeof View>;
const List = v.object({ sessions: v.array(View) });

export async function session(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 2);
  const call = callOf(rest, values.mine === true);
  try {
    const flag = call.socket === "console" ? values.console : values.gateway;
    const answer = await ask(target(call.socket, flag, terminal.env), call.method, call.path);
    const lines = call.lines(answer);
    if (values.json === true) terminal.out(JSON.stringify(answer));
    else for (const text of lines) terminal.out(oneLine(text));
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof Refused)) throw thrown;
    terminal.err(`steno session: ${thrown.message}`);
    return 1;
  }
}

type Call = {
  readonly socket: Socket;
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  /** What a person reads of the answer; throws when it is not understood. */
  readonly lines: (answer: unknown) => string[];
};

/** `list` and `show` ask the console, or with --mine the agents' socket; `end` is for one's own, `kill` for admins. */
function callOf([verb, id]: readonly string[], mine: boolean): Call {
  const socket = mine ? "agents" : "console";
  const base = mine ? "/v1/sessions" : "/api/v1/sessions";
  switch (verb) {
    case "list":
      if (id !== undefined) throw new UsageFault("session list takes no id");
      return { socket, method: "GET", path: base, lines: list };
    case "show":
      return { socket, method: "GET", path: `${base}/${idOf(id)}`, lines: show };
    case "end":
      return { socket: "agents", method: "DELETE", path: `/v1/sessions/${idOf(id)}`, lines: told("ended") };
    case "kill": {
      const path = `/api/v1/sessions/${idOf(id)}/kill`;
      return { socket: "console", method: "POST", path, lines: told("killed") };
    }
    default:
      throw new UsageFault("say session list, show, end or kill");
  }
}

function idOf(text: string | undefined): SessionId {
  const parsed = v.safeParse(SessionId, text);
  if (parsed.success) return parsed.output;
  throw new UsageFault(
    text === undefined ? "which session? its id begins with ses_" : "that is not the id of a session",
  );
}

function list(answer: unknown): string[] {
  const { sessions } = understood(List, answer);
  if (sessions.length === 0) return ["no sessions"];
  return sessions.map((view) => {
    const { session: id, status, openedAt, client, frames, denied } = view;
    return `${id}  ${status.padEnd(7)}  ${openedAt}  ${who(view)}  ${client}  frames=${frames} denied=${denied}`;
  });
}

function show(answer: unknown): string[] {
  const view = understood(View, answer);
  const { principal, session: id, status, ...rest } = view;
  const plain = Object.entries(rest).filter(
    ([, value]) => typeof value === "string" || typeof value === "number",
  );
  return [
    `session ${id}`,
    `status ${status}`,
    `principal ${who(view)} of ${principal.issuer}`,
    ...plain.map(([name, value]) => `${name} ${value}`),
  ];
}

const told =
  (done: string) =>
  (answer: unknown): string[] => {
    const view = understood(View, answer);
    return [`${done} ${view.session} ${view.status} frames=${view.frames}`];
  };

const who = ({ principal }: View): string =>
  principal.agent === undefined ? principal.subject : `${principal.agent} for ${principal.subject}`;

function understood<const S extends v.GenericSchema>(schema: S, answer: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, answer);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Error(`the gateway's answer is not understood: ${v.getDotPath(issue) ?? "it"} ${issue.message}`);
}
