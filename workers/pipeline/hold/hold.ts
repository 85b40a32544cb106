/** What policy holds passes once it is approved: at once when it was, else after waiting, or when it is sent again. */
import * as v from "valibot";
import type { HoldTape } from "#durable/format/approval/approval.ts";
import { ApprovalId, type StandingId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { granted } from "#workers/wire/problem.ts";
import { release } from "../answer/release.ts";
import type { Means, Recorded } from "../exchange.ts";
import { forward } from "../forward.ts";
import { type Held, later, released, requireOpen } from "./held.ts";
import { patient } from "./patient.ts";
import { holdTape } from "./tape.ts";
import { wait } from "./wait.ts";

export async function hold(recorded: Recorded, means: Means): Promise<Response> {
  const { decision, session, x, incoming } = recorded;
  if (decision.verdict !== "hold") throw new Error("only what is held waits for approval");
  const named = namedIn(incoming.request.headers);
  const tape = holdTape(recorded, decision);
  const standing = named === undefined ? await coveredBy(recorded, tape, means) : undefined;
  const by = { ...(named !== undefined && { named }), ...(standing !== undefined && { standing }) };
  const opened = await means.hold.open(session, x, tape, by);
  if ("no" in opened)
    throw new Refusal(opened.no.code, opened.no.message, named === undefined ? {} : { approval: named });
  const news = opened.ok;
  const held: Held = { ...recorded, news };
  // Of a fetch that was let through, the next round.
  if (news.state === "released") return now(held, means);
  requireOpen(news);
  if (news.state === "approved") return now(held, means);
  const waiting = held.adapter.waiting?.(held.inspected);
  if (waiting) return wait(held, waiting, means);
  const seconds = Math.min(held.adapter.patience?.(held.inspected) ?? 0, means.settings.holdSeconds);
  if (seconds > 0) return now(await patient(held, seconds, means), means);
  await means.hold.leave(session, x, news.approval);
  throw later(held, means);
}

/** What was approved in advance and covers it, where there is such a thing. */
async function coveredBy(
  { principal, inspected, facts }: Recorded,
  tape: HoldTape,
  means: Means,
): Promise<StandingId | undefined> {
  // A definition that has changed since is one that nobody can have looked at in advance.
  if (inspected.accepts) return undefined;
  const all = granted(await means.hold.standing(tape));
  if (all.length === 0) return undefined;
  const scopes = all.map(({ scope }) => scope);
  const [first] = granted(await means.evaluator.covering(scopes, principal, inspected.questions, facts));
  return first === undefined ? undefined : all[first]?.standing;
}

/** The client waits for nothing but the upstream. */
async function now(held: Held, means: Means): Promise<Response> {
  const { session, x, news } = held;
  try {
    const forwarded = await forward(await released(held, means), means);
    await means.hold.outcome(session, x, news.approval, `the upstream answered ${forwarded.response.status}`);
    return await release(forwarded, means);
  } catch (thrown) {
    const said = thrown instanceof Refusal ? thrown.message : "a fault";
    // Of a release that was not, there is no outcome; either way nothing more of it leaves.
    await means.hold.outcome(session, x, news.approval, said);
    throw thrown;
  }
}

function namedIn(headers: Headers): ApprovalId | undefined {
  const named = headers.get("steno-approval");
  if (named === null) return undefined;
  const parsed = v.safeParse(ApprovalId, named);
  if (!parsed.success)
    throw new Refusal("malformed", "steno-approval must be an approval's id: apr_ and 26 letters");
  return parsed.output;
}
