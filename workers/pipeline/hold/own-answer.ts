/** An exchange that asks the gateway itself what became of a hold: it waits, and goes nowhere else. */
import type { HoldNews } from "#durable/format/approval/approval.ts";
import type { Inspected } from "#workers/adapters/adapter.ts";
import { granted } from "#workers/wire/problem.ts";
import type { Cleared, Forwarded, Means } from "../exchange.ts";

const NEWS_MS = 15_000;

/** Answers when somebody has decided, or after its seconds. Of an approval of somebody else's it knows nothing. */
export async function answerWait(
  cleared: Cleared,
  { approval, seconds, answer }: NonNullable<Inspected["waits"]>,
  means: Means,
): Promise<Forwarded> {
  const until = means.now() + seconds * 1000;
  let news: HoldNews | undefined;
  for (let seen = 0; ; ) {
    const left = Math.max(0, until - means.now());
    // The first time it is only looked at: what has happened is no news.
    const ms = news === undefined ? 0 : Math.min(NEWS_MS, left);
    const shown = await means.hold.show(approval, cleared.principal, seen, ms);
    if ("no" in shown && shown.no.code === "unknown_path") break;
    news = granted(shown);
    seen = news.events.length;
    if (news.state !== "pending" || left === 0 || cleared.incoming.request.signal.aborted) break;
  }
  return { ...cleared, response: answer(news) };
}
