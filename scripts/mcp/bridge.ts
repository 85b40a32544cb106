/** Between a client that speaks MCP over stdio and the gateway: each line a request, each message of an answer a line. */
import { setTimeout as sleep } from "node:timers/promises";
import { reason } from "#scripts/config/finding.ts";
import { linesOf } from "./lines.ts";
import { type Link, MESSAGE_MAX, messagesIn, Unsent } from "./link.ts";
import { isRequest, type Message, messageOf } from "./message.ts";
import { mediaType, type Place } from "./stream.ts";

export type Ends = {
  readonly input: AsyncIterable<Uint8Array>;
  /** Resolves when there is room for more. */
  readonly write: (line: string) => Promise<void>;
  /** One sentence for a person. */
  readonly complain: (text: string) => void;
  /** When the bridge is to end before its input does. */
  readonly stop: AbortSignal;
};

/** JSON-RPC 2.0 §5.1, and what servers may define. */
const PARSE_ERROR = -32700;
const FAILED = -32000;

/** Requests under way at once; more are refused, so that a client that floods fills nobody's memory. */
const REQUESTS_MAX = 256;
/** What others wait for is given up after this. */
const ORDERED_MS = 60_000;
/** After its input has ended, the bridge waits this long for answers, and then as long for the server to close the session. */
const ENDING_MS = 1_000;
const RESUMES_MAX = 5;
const RETRY_MS = 1_000;
const RETRY_MOST_MS = 30_000;

/** Returns when the client has gone or `stop` says so; throws only when the output is gone. */
export async function bridge(link: Link, ends: Ends): Promise<void> {
  const over = new AbortController();
  const any = AbortSignal.any([ends.stop, over.signal]);
  const asked = new Map<string, AbortController>();
  const running = new Set<Promise<void>>();
  let listening = false;

  const follow = (work: Promise<void>): void => {
    const kept = work
      .catch((cause: unknown) => {
        if (!any.aborted) ends.complain(reason(cause));
      })
      .finally(() => running.delete(kept));
    running.add(kept);
  };

  const said = async (message: Message): Promise<void> => {
    const key = JSON.stringify(message.id);
    if (isRequest(message)) {
      if (asked.has(key)) return ends.write(failure(message.id, "this id is in use by another request"));
      if (asked.size >= REQUESTS_MAX)
        return ends.write(failure(message.id, `more than ${REQUESTS_MAX} requests at once`));
      const given = new AbortController();
      asked.set(key, given);
      const signals = [any, given.signal];
      // Later messages rest on the session that this one opens.
      const first = message.method === "initialize";
      if (first) signals.push(AbortSignal.timeout(ORDERED_MS));
      const answer = ask(
        link,
        ends,
        message,
        AbortSignal.any(signals),
        () => given.signal.aborted || any.aborted,
      );
      const done = answer.finally(() => asked.delete(key));
      follow(done);
      if (first) await Promise.allSettled([done]);
      return;
    }
    await tell(link, message, AbortSignal.any([any, AbortSignal.timeout(ORDERED_MS)])).catch(
      (cause: unknown) => ends.complain(`${message.method ?? "a reply"} was not delivered: ${reason(cause)}`),
    );
    // Whoever has cancelled wants no answer; its connection is not kept open for one.
    if (message.method === "notifications/cancelled")
      asked.get(JSON.stringify(message.params?.requestId))?.abort();
    if (message.method === "notifications/initialized" && link.hasSession && !listening) {
      listening = true;
      follow(listen(link, ends, any));
    }
  };

  const read = async (): Promise<void> => {
    for await (const line of linesOf(ends.input, MESSAGE_MAX)) {
      if (any.aborted) return;
      const message = line.kind === "line" ? messageOf(line.text) : undefined;
      if (message) await said(message);
      else await ends.write(unread(line.kind));
    }
  };

  const stopped = new Promise<void>((resolve) => {
    if (ends.stop.aborted) resolve();
    else ends.stop.addEventListener("abort", () => resolve(), { once: true });
  });
  try {
    await Promise.race([read(), stopped]);
    await Promise.race([quiet(asked, running), sleep(ENDING_MS, undefined, { ref: false }), stopped]);
  } finally {
    over.abort();
    await Promise.allSettled(running);
    await link.end(AbortSignal.timeout(ENDING_MS)).catch((cause: unknown) => {
      ends.complain(`the server was not told that the session is over: ${reason(cause)}`);
    });
  }
}

async function quiet(
  asked: ReadonlyMap<string, unknown>,
  running: ReadonlySet<Promise<void>>,
): Promise<void> {
  while (asked.size > 0) await Promise.race(running);
}

/** Every request is answered once, whatever becomes of it: with what the server said, or with why there is no answer. */
async function ask(
  link: Link,
  { write }: Ends,
  message: Message,
  signal: AbortSignal,
  unwanted: () => boolean,
): Promise<void> {
  const place: Place = {};
  let answered = false;
  const take = async (response: Response): Promise<void> => {
    for await (const heard of messagesIn(response, place)) {
      const own = heard.method === undefined && heard.id === message.id;
      if (own && message.method === "initialize") link.opened(response, versionIn(heard));
      answered ||= own;
      await write(heard.text);
    }
  };
  try {
    const response = await link.post(message, signal);
    if (!response.ok) return await write(await refusal(message.id, response));
    await take(response).catch((cause: unknown) => {
      if (place.last === undefined || signal.aborted) throw cause;
    });
    for (let tries = 0; !answered && place.last !== undefined && tries < RESUMES_MAX; tries += 1) {
      await sleep(Math.min(place.retryMs ?? RETRY_MS, RETRY_MOST_MS), undefined, { signal });
      const rest = await link.listen(place, signal);
      if (!rest.ok || mediaType(rest) !== "text/event-stream") throw new Error(await why(rest));
      await take(rest).catch((cause: unknown) => {
        if (signal.aborted || tries + 1 === RESUMES_MAX) throw cause;
      });
    }
    if (!answered) throw new Error("the answer ended before it was whole");
  } catch (cause) {
    if (unwanted() || answered) return;
    await write(
      failure(
        message.id,
        `${reason(cause)}; ${cause instanceof Unsent ? "nothing was asked" : "whether it was done is not known"}`,
      ),
    );
  }
}

async function tell(link: Link, message: Message, signal: AbortSignal): Promise<void> {
  const response = await link.post(message, signal);
  if (!response.ok) throw new Error(await why(response));
  await response.body?.cancel();
}

/** What the server says unasked, for as long as it has a stream for that (405: it has none). */
async function listen(link: Link, { write }: Ends, signal: AbortSignal): Promise<void> {
  const place: Place = {};
  for (let wait = RETRY_MS; !signal.aborted; wait = Math.min(wait * 2, RETRY_MOST_MS)) {
    try {
      const response = await link.listen(place, signal);
      if (!response.ok || mediaType(response) !== "text/event-stream") {
        await response.body?.cancel();
        if (response.status < 500) return;
      } else {
        for await (const { text } of messagesIn(response, place)) {
          wait = RETRY_MS;
          await write(text);
        }
      }
    } catch {
      // The stream broke, or the gateway is down: the next round asks for the rest, and requests say what is wrong.
    }
    await sleep(Math.max(wait, Math.min(place.retryMs ?? 0, RETRY_MOST_MS)), undefined, { signal });
  }
}

const failure = (id: Message["id"], why: string, code = FAILED): string =>
  JSON.stringify({ jsonrpc: "2.0", id, error: { code, message: `steno: ${why}` } });

const unread = (kind: "line" | "too_long"): string =>
  failure(
    null,
    kind === "line" ? "a line is no message of JSON-RPC" : "a message is longer than 16 MB",
    PARSE_ERROR,
  );

/** A no to a request, in the server's own words where it has some: clients read its code and what comes with it. */
async function refusal(id: Message["id"], response: Response): Promise<string> {
  const copy = response.clone();
  const said = messageOf(await response.text());
  if (said?.error !== undefined && said.id === id) return said.text;
  const error = said?.error;
  const ours = response.status === 401 || response.status === 404 || error === undefined;
  return ours ? failure(id, await why(copy)) : JSON.stringify({ jsonrpc: "2.0", id, error });
}

/** An answer that is none, in one sentence: what the gateway or the server says, with how to mend what only the user can. */
async function why(response: Response): Promise<string> {
  const text = (await response.text()).slice(0, 4_096);
  const { error } = messageOf(text) ?? {};
  const words =
    typeof error === "object" && error !== null && "message" in error ? String(error.message) : "";
  switch (response.status) {
    case 401:
      return `the gateway does not accept the token (${words || 401}): renew it, in STENO_TOKEN or the file it is kept in`;
    case 404:
      return `${words || "not found"}: no such connection, or the server has forgotten the session; start again`;
    default:
      return words || `the gateway answers ${response.status}`;
  }
}

function versionIn({ result }: Message): string | undefined {
  if (typeof result !== "object" || result === null || !("protocolVersion" in result)) return undefined;
  return typeof result.protocolVersion === "string" ? result.protocolVersion : undefined;
}
