/** Lets a client wait for its answer in silence, as long as it is sure to wait: approved meanwhile, it never notices. */
import type { HoldNews } from "#durable/format/approval/approval.ts";
import { principalKey } from "#durable/format/principal.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { granted } from "#workers/wire/problem.ts";
import type { Means, Read } from "../exchange.ts";
import { watch } from "../over.ts";
import { type Held, later, requireOpen } from "./held.ts";

const NEWS_MS = 25_000;

/** Whose request it is that a client calls by this name, at which connection. */
export const cancelKey = ({ principal, connection }: Read, named: string): string =>
  JSON.stringify([principalKey(principal), connection.name, named]);

/** Back with the news that it is approved. Throws when it is decided otherwise, when nobody has decided, or nobody waits any more. */
export async function patient(held: Held, seconds: number, means: Means): Promise<Held> {
  const { session, x, inspected, incoming } = held;
  const { approval } = held.news;
  const until = means.now() + seconds * 1000;
  const over = watch({ session }, means);
  const taken = inspected.cancellable === undefined ? undefined : cancelKey(held, inspected.cancellable);
  const registered = taken === undefined ? undefined : means.cancellations.register(taken);
  const gone = Promise.race([
    aborted(incoming.request.signal, "the client hung up"),
    ...(registered ? [aborted(registered.signal, "the client took it back")] : []),
  ]);
  // It is raced where somebody waits; between, its rejection must not count as nobody's.
  gone.catch(() => undefined);
  let { news } = held;
  try {
    while (news.state === "pending") {
      const left = until - means.now();
      if (left <= 0) throw later(held, means);
      news = await Promise.race([next(news, Math.min(NEWS_MS, left), means), gone, over.ended]);
      requireOpen(news);
    }
    return { ...held, news };
  } catch (thrown) {
    const voids = thrown instanceof Refusal && thrown.code === "approval_pending" ? undefined : said(thrown);
    await means.hold.leave(session, x, approval, voids);
    throw thrown;
  } finally {
    over.stop();
    registered?.done();
  }
}

const next = async ({ approval, events }: HoldNews, ms: number, means: Means): Promise<HoldNews> =>
  granted(await means.hold.wait(approval, events.length, ms));

const said = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

function aborted(signal: AbortSignal, why: string): Promise<never> {
  return new Promise((_, reject) => {
    const over = () => reject(new Refusal("approval_over", why));
    if (signal.aborted) over();
    else signal.addEventListener("abort", over, { once: true });
  });
}
