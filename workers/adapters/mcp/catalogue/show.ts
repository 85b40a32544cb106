/** An answer of a server on its way to the agent: every message in it is looked into for lists, in JSON or as events. */
import type { McpOperation } from "#durable/format/operation.ts";
import { Refusal } from "#durable/format/refusal.ts";
import { concat, encode } from "#workers/mask/stream/out.ts";
import { byteStream } from "#workers/wire/byte-stream.ts";
import type { Showing } from "../../adapter.ts";
import { errorOf } from "../refuse.ts";
import { type Event, Events, withData } from "./events.ts";
import { unreadFrames } from "./frames.ts";
import { Unread } from "./list.ts";
import { review } from "./review.ts";

/** Bytes of one message, in an answer as in a request. */
export const MESSAGE_MAX = 16 * 1024 * 1024;

const TOO_LONG = "an event is longer than 16 MB";

/** Fields that say of an answer what is not true of another text. */
const UNTRUE = ["content-length", "content-md5", "digest", "content-digest", "repr-digest", "etag"];

export async function showAnswer(
  operation: McpOperation,
  response: Response,
  showing: Showing,
): Promise<Response> {
  const { body, status, headers } = response;
  const session = operation.kind === "mcp.initialize" ? headers.get("mcp-session-id") : null;
  if (session !== null) await showing.opened(session);
  if (!body) return response;
  const coding = headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  // As clients tell them apart.
  const type = headers.get("content-type")?.toLowerCase() ?? "";
  if (coding !== "identity") throw cannot("it came in an encoding that was not asked for");
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  const own = new Headers(headers);
  if (type.includes("text/event-stream")) {
    for (const name of UNTRUE) own.delete(name);
    return new Response(reviewed(reader, operation, showing), { status, headers: own });
  }
  const bytes = await wholeOf(reader, showing);
  const needed = response.ok && (type.includes("application/json") || operation.id !== undefined);
  const shown = await whole(bytes, needed, operation, showing);
  if (shown !== bytes) for (const name of UNTRUE) own.delete(name);
  own.set("content-length", `${shown.byteLength}`);
  return new Response(shown, { status, headers: own });
}

const cannot = (why: string) =>
  new Refusal("upstream_protocol", `the server's answer cannot be shown: ${why}`);

async function wholeOf(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { within }: Showing,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { value, done } = await within(reader.read());
    if (done) break;
    parts.push(value);
    size += value.byteLength;
    if (size > MESSAGE_MAX) {
      void reader.cancel().catch(() => undefined);
      throw cannot("it is longer than 16 MB");
    }
  }
  return concat(parts);
}

/** `needed`: it is an answer that a client reads as a message, so one that is none is not passed. */
async function whole(
  bytes: Uint8Array<ArrayBuffer>,
  needed: boolean,
  operation: McpOperation,
  showing: Showing,
): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes.byteLength === 0) return bytes;
  const text = new TextDecoder().decode(bytes);
  try {
    const shown = await review(text, operation, showing);
    if (shown === text) return bytes;
    requireText(bytes);
    return new Uint8Array(encode(shown));
  } catch (thrown) {
    if (!(thrown instanceof Unread)) throw thrown;
    if (!needed && thrown.noJson) return bytes;
    await recordUnread(thrown, text, showing);
    throw cannot(thrown.message);
  }
}

function requireText(bytes: Uint8Array): void {
  try {
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Unread("it is not UTF-8", { cause });
  }
}

/** What is silent is told apart from what has gone: a write fails once nobody reads any more. For an hour; then its own patience counts. */
const SIGN_MS = 20_000;
const SIGNS_MAX = 180;
const SIGN = encode(":\n\n");

async function within<T>(ms: number, read: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([read, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Events pass one by one, each once it is whole. One that cannot be read is answered for, in its place. */
function reviewed(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  operation: McpOperation,
  showing: Showing,
): ReadableStream<Uint8Array> {
  const events = new Events(MESSAGE_MAX);
  let over = false;
  const all = async (some: readonly Event[]): Promise<Uint8Array> => {
    const shown: Uint8Array[] = [];
    for (const event of some) shown.push(await eventShown(event, operation, showing));
    return concat(shown);
  };
  let reading: ReturnType<typeof reader.read> | undefined;
  let signs = 0;
  const next = async (): Promise<Uint8Array | undefined> => {
    if (over) return undefined;
    reading ??= reader.read();
    const read = await (signs < SIGNS_MAX ? within(SIGN_MS, reading) : reading);
    if (!read) {
      signs += 1;
      return SIGN;
    }
    reading = undefined;
    signs = 0;
    const { value, done } = read;
    if (done) {
      over = true;
      const last = events.end();
      return last && all([last]);
    }
    const shown = await all(events.push(value));
    if (!events.long) return shown;
    over = true;
    void reader.cancel().catch(() => undefined);
    const why = new Unread(TOO_LONG);
    await recordUnread(why, "", showing);
    return concat([shown, encode(`data: ${instead(undefined, operation, cannot(why.message))}\n\n`)]);
  };
  return byteStream(next, (reason) => reader.cancel(reason));
}

async function eventShown(event: Event, operation: McpOperation, showing: Showing): Promise<Uint8Array> {
  const { bytes, data } = event;
  // The first event of a stream may say nothing, so that clients know where they are.
  if (data === undefined || data === "") return bytes;
  try {
    if (bytes.byteLength > MESSAGE_MAX) throw new Unread(TOO_LONG);
    const shown = await review(data, operation, showing);
    if (shown === data) return bytes;
    if (!event.text) throw new Unread("it is not UTF-8");
    return withData(event, shown);
  } catch (thrown) {
    // What could not be decided or recorded is refused as if it had been asked for by itself.
    if (thrown instanceof Refusal) return withData(event, instead(data, operation, thrown));
    if (!(thrown instanceof Unread)) throw thrown;
    await recordUnread(thrown, bytes.byteLength > MESSAGE_MAX ? "" : data, showing);
    return withData(event, instead(data, operation, cannot(thrown.message)));
  }
}

/** An error for whoever waits for this message; nothing where nobody does. */
function instead(data: string | undefined, operation: McpOperation, refusal: Refusal): string {
  const id = idIn(data) ?? operation.id;
  return id === undefined ? "" : JSON.stringify(errorOf(id, refusal));
}

function idIn(data: string | undefined): string | number | undefined {
  if (data === undefined) return undefined;
  try {
    const { id } = JSON.parse(data) as { readonly id?: unknown };
    return typeof id === "string" || typeof id === "number" ? id : undefined;
  } catch {
    // It answers what was asked, as far as anybody can tell.
    return undefined;
  }
}

async function recordUnread(why: Unread, text: string, showing: Showing): Promise<void> {
  const { hide, connection, record } = showing;
  const kept = connection.bodies === "full" ? hide(text, "text") : undefined;
  await record(unreadFrames(why.message, kept));
}
