/** `steno standing list|show|grant|join|revoke`: what is approved in advance, asked of the console. */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import type { StandingRow } from "#durable/format/approval/standing.ts";
import { StandingId } from "#durable/format/ids.ts";
import { ask, Refused, target } from "#scripts/cli/client.ts";
import { type Flags, readFlags, UsageFault } from "#scripts/cli/flags.ts";
import { oneLine, TERMINAL, type Terminal } from "#scripts/cli/terminal.ts";

const FLAGS = {
  scope: "text",
  reason: "text",
  group: "texts",
  minutes: "text",
  comment: "text",
  console: "text",
  json: "flag",
} as const;
const PATH = "/api/v1/standing";

type Given = Flags<typeof FLAGS>["values"];
type Call = {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: object;
  readonly lines: (answer: unknown) => readonly string[];
};

export async function standing(args: string[], terminal: Terminal = TERMINAL): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 2);
  const call = callOf(rest, values);
  try {
    const to = target("console", values.console, terminal.env);
    const answer = await ask(to, call.method, call.path, call.body);
    if (values.json === true) terminal.out(JSON.stringify(answer));
    else for (const line of call.lines(answer)) terminal.out(oneLine(line));
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof Refused)) throw thrown;
    terminal.err(`steno standing: ${thrown.message}`);
    return 1;
  }
}

function callOf([verb, id]: readonly string[], given: Given): Call {
  const one = (answer: unknown) => described(answer as StandingRow);
  switch (verb) {
    case "list":
      if (id !== undefined) throw new UsageFault("standing list takes no id");
      return { method: "GET", path: PATH, lines: listed };
    case "show":
      return { method: "GET", path: `${PATH}/${idOf(id)}`, lines: one };
    case "grant":
      if (id !== undefined) throw new UsageFault("standing grant takes no id: it is given one");
      return { method: "POST", path: PATH, body: termsOf(given), lines: one };
    case "join":
      return {
        method: "POST",
        path: `${PATH}/${idOf(id)}/join`,
        body: { groups: groupsOf(given) },
        lines: one,
      };
    case "revoke": {
      const body = given.comment === undefined ? {} : { comment: given.comment };
      return { method: "POST", path: `${PATH}/${idOf(id)}/revoke`, body, lines: one };
    }
    default:
      throw new UsageFault("say standing list, show, grant, join or revoke");
  }
}

function termsOf(given: Given): object {
  const { scope, reason, minutes } = given;
  if (scope === undefined) throw new UsageFault("say what it is for: --scope FILE, a file of Cedar");
  if (reason === undefined) throw new UsageFault("say why: --reason TEXT");
  if (minutes === undefined || !/^[1-9]\d{0,5}$/.test(minutes))
    throw new UsageFault("say for how long: --minutes N");
  return {
    scope: readFileSync(scope, "utf8"),
    reason,
    groups: groupsOf(given),
    minutes: Number(minutes),
  };
}

function groupsOf({ group = [] }: Given): readonly string[] {
  if (group.length === 0) throw new UsageFault("say as which group of yours: --group NAME");
  return group;
}

function listed(answer: unknown): readonly string[] {
  const { standing: all } = answer as { readonly standing: readonly StandingRow[] };
  return all.length === 0 ? ["nothing is approved in advance"] : all.map(row);
}

const row = ({ standing: id, state, until, grants, reason }: StandingRow): string =>
  [id, state.padEnd(7), until, grants.map(({ by }) => by.name ?? by.subject).join(" and "), reason].join(
    "  ",
  );

function described(one: StandingRow): readonly string[] {
  const { standing: id, state, from, until, scope, reason, grants, revoked } = one;
  return [
    `standing ${id}`,
    `state ${state}, from ${from} until ${until}`,
    `reason ${reason}`,
    ...scope
      .trimEnd()
      .split("\n")
      .map((line) => `  ${line}`),
    ...grants.map(({ by, at }) => `${at} granted by ${by.name ?? by.subject} as ${by.groups.join(" and ")}`),
    ...(revoked === undefined
      ? []
      : [
          `${revoked.at} revoked by ${revoked.by.name ?? revoked.by.subject}${revoked.text === undefined ? "" : `: ${revoked.text}`}`,
        ]),
  ];
}

function idOf(text: string | undefined): StandingId {
  const parsed = v.safeParse(StandingId, text);
  if (parsed.success) return parsed.output;
  throw new UsageFault(
    text === undefined ? "which one? its id begins with sta_" : "that is no standing approval's id",
  );
}
