/** Asks upstream what a request cannot prove by itself, as an exchange of its own: decided, recorded, cleared like any. */
import { mintExchangeId } from "#durable/format/ids.ts";
import { principalKey } from "#durable/format/principal.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Inspected } from "#workers/adapters/adapter.ts";
import { responseHeaders } from "#workers/wire/headers.ts";
import { inTime, upstreamSilent } from "#workers/wire/in-time.ts";
import { granted } from "#workers/wire/problem.ts";
import { clear } from "./clear.ts";
import { judge } from "./decision/judge.ts";
import type { Means, Read } from "./exchange.ts";
import { forward } from "./forward.ts";

/** Longest answer that is read; a longer one settles nothing. */
const ANSWER_MAX = 32 * 1024 * 1024;
/** A push of many refs may need one answer for each. */
const LOOKS_MAX = 16;
const REMEMBERED_MAX = 10_000;

/** They never change hands, so the recorder is asked once of each. */
const ownSessions = new Set<string>();

export async function settle(read: Read, means: Means): Promise<Read> {
  await requireOwn(read, means);
  let inspected = await defined(read, means);
  for (let looks = 0; inspected.unsettled && looks < LOOKS_MAX; looks++) {
    const { look, settle } = inspected.unsettled;
    const { body } = inspected;
    inspected = { ...(await settle(await ask({ ...read, inspected: look }, means))), body };
  }
  return { ...read, inspected };
}

/** A session of the upstream's stands for whoever opened it: its id alone must let nobody in. */
async function requireOwn({ inspected, connection, principal }: Read, means: Means): Promise<void> {
  const { serverSession } = inspected;
  if (serverSession === undefined) return;
  const key = JSON.stringify([connection.name, principalKey(principal), serverSession]);
  if (ownSessions.has(key)) return;
  const own = granted(await means.pins.isOwn(connection.name, principal, serverSession));
  if (!own) throw new Refusal("not_yours", "there is no such session of yours: open another");
  if (ownSessions.size >= REMEMBERED_MAX) ownSessions.clear();
  ownSessions.add(key);
}

/** What the pins know of the tool decides too: without them nothing is decided. */
async function defined({ inspected, connection, principal }: Read, means: Means): Promise<Inspected> {
  if (!inspected.defined) return inspected;
  const { tool, settle } = inspected.defined;
  const [known] = granted(await means.pins.known(connection.name, principal, [tool]));
  return settle(known ?? undefined);
}

/** Undefined when the principal may not ask, or the upstream cannot say: then nothing is proven. */
export async function ask(
  read: Read & { readonly inspected: Inspected },
  means: Means,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const x = mintExchangeId(means.now(), means.random(10));
  const recorded = await judge({ ...read, x }, means, () => undefined);
  const { session } = recorded;
  try {
    const { response } = await forward(clear(recorded), means);
    const bytes = await inTime(bounded(response), means.settings.stallSeconds, upstreamSilent);
    const { status } = response;
    const headers = responseHeaders(response.headers);
    const end = bytes ? "complete" : "cut";
    granted(await means.append.respond(session, x, { status, headers, ...(bytes && { bytes }), end }));
    return bytes;
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    // What waits for approval keeps its body, and this waits for nobody.
    if (recorded.decision.verdict === "hold") granted(await means.append.discarded(session, x, 0, 0, ""));
    const refusal = { code: thrown.code, message: thrown.message };
    granted(
      await means.append.respond(session, x, {
        status: thrown.status,
        headers: [],
        refusal,
        end: "complete",
      }),
    );
    return undefined;
  }
}

async function bounded(response: Response): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > ANSWER_MAX) return undefined;
    parts.push(chunk);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
