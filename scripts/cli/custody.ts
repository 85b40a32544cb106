/** `steno erase` and `steno legal-hold`: asked of the console, with a token of whoever may; the recorder does it. */
import * as v from "valibot";
import { SessionId } from "#durable/format/ids.ts";
import { Reference } from "#durable/format/log/attestation.ts";
import { ask, Refused, target } from "./client.ts";
import { readFlags, UsageFault } from "./flags.ts";
import { oneLine, TERMINAL, type Terminal } from "./terminal.ts";

const FLAGS = { reason: "text", console: "text", json: "flag" } as const;
const Step = v.object({ at: v.string(), reason: v.string(), state: v.optional(v.string()) });
const View = v.object({ session: SessionId, erasure: v.optional(Step), legalHold: v.optional(Step) });

export const erase = (args: string[], terminal: Terminal = TERMINAL): Promise<number> =>
  asked(args, terminal, ([id, extra]) => {
    if (extra !== undefined) throw new UsageFault(`unexpected argument "${extra}"`);
    return { id, path: "erase", body: {} };
  });

export const legalHold = (args: string[], terminal: Terminal = TERMINAL): Promise<number> =>
  asked(args, terminal, ([verb, id]) => {
    if (verb !== "set" && verb !== "lift") throw new UsageFault("say legal-hold set, or legal-hold lift");
    return { id, path: "legal-hold", body: { state: verb === "set" ? "set" : "lifted" } };
  });

type Call = { readonly id: string | undefined; readonly path: string; readonly body: object };

async function asked(
  args: string[],
  terminal: Terminal,
  callOf: (rest: readonly string[]) => Call,
): Promise<number> {
  const { values, rest } = readFlags(args, FLAGS, 2);
  const { id, path, body } = callOf(rest);
  const session = v.safeParse(SessionId, id);
  if (!session.success) throw new UsageFault("which session? its id begins with ses_");
  const reason = v.safeParse(Reference, values.reason);
  if (!reason.success)
    throw new UsageFault(
      "give --reason, a case's reference such as DSR-2026-017: it stays in the log, in clear",
    );
  try {
    const to = target("console", values.console, terminal.env);
    const said = { ...body, reason: reason.output };
    const answer = await ask(to, "POST", `/api/v1/sessions/${session.output}/${path}`, said);
    if (values.json === true) terminal.out(JSON.stringify(answer));
    else terminal.out(oneLine(lineOf(v.parse(View, answer))));
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof Refused)) throw thrown;
    terminal.err(`steno: ${thrown.message}`);
    return 1;
  }
}

function lineOf({ session, erasure, legalHold: hold }: v.InferOutput<typeof View>): string {
  if (erasure?.state === "done")
    return `${session} erased (${erasure.reason}): its key was destroyed, and the log says so`;
  if (erasure) return `${session} is being erased (${erasure.reason}): the node goes on until it is done`;
  return hold ? `${session} is under a legal hold (${hold.reason})` : `${session} is under no legal hold`;
}
