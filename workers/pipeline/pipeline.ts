/** The sentence. Nothing else knows the order, and nothing else catches refusals. */
import { granted } from "#workers/wire/problem.ts";
import { refuse } from "./answer/refuse.ts";
import { release } from "./answer/release.ts";
import { authenticate, conversing } from "./authenticate.ts";
import { spool } from "./body/spool.ts";
import { clear } from "./clear.ts";
import { judge } from "./decision/judge.ts";
import type { Forwarded, Looked, Means, Reached, Read, Received } from "./exchange.ts";
import { forward } from "./forward.ts";
import { inRecord } from "./hold/held.ts";
import { hold } from "./hold/hold.ts";
import { answerWait } from "./hold/own-answer.ts";
import { cancelKey } from "./hold/patient.ts";
import { resolve } from "./resolve.ts";
import { settle } from "./settle.ts";

export async function run(received: Received, means: Means): Promise<Response> {
  let reached: Reached = received;
  try {
    const authenticated = await authenticate(received, means);
    reached = authenticated;
    const resolved = resolve(authenticated, means);
    reached = resolved;
    const inspected = { ...resolved, inspected: await resolved.adapter.inspect(resolved.incoming) };
    reached = inspected;
    const looked = conversing(inspected);
    reached = looked;
    const spooled = await spool(sound(looked), means);
    reached = spooled;
    const read = await settle(sound(spooled), means);
    reached = read;
    const recorded = await judge(read, means, (step) => {
      reached = step;
    });
    reached = recorded;
    if (recorded.decision.verdict === "hold") {
      const kept = inRecord(recorded);
      reached = kept;
      return await hold(kept, means);
    }
    const { cancels } = recorded.inspected;
    if (cancels !== undefined) means.cancellations.cancel(cancelKey(recorded, cancels));
    const { waits } = recorded.inspected;
    const cleared = clear(recorded);
    const forwarded = waits ? await answerWait(cleared, waits, means) : await forward(cleared, means);
    const released = await release(forwarded, means);
    await follow(forwarded, means);
    return released;
  } catch (thrown) {
    return refuse(thrown, reached, means);
  }
}

/** Ends the session where this was the last of it. It is answered by then: what goes wrong here ends when it is idle. */
async function follow({ inspected, session, principal }: Forwarded, means: Means): Promise<void> {
  if (inspected.follows === undefined) return;
  try {
    granted(await means.append.end(principal, session));
  } catch (cause) {
    console.error(
      JSON.stringify({ level: "alert", code: "session_not_ended", session, cause: String(cause) }),
    );
  }
}

function sound(looked: Looked): Read {
  const { inspected } = looked;
  if ("flaw" in inspected) throw inspected.flaw;
  return { ...looked, inspected };
}
