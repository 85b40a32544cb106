/** Response bytes reach the agent only after they are durable: small bodies in one append, others chunk by chunk. */

import type { BodyEnd, Content, Header } from "#durable/format/frame.ts";
import type { ExchangeId } from "#durable/format/ids.ts";
import { Refusal } from "#durable/format/refusal.ts";
import type { Answer } from "#durable/format/tape.ts";
import type { Hearing } from "#workers/adapters/adapter.ts";
import { letGo } from "#workers/contract/let-go.ts";
import { responseHeaders } from "#workers/wire/headers.ts";
import { inTime, upstreamSilent } from "#workers/wire/in-time.ts";
import { pieces } from "#workers/wire/pieces.ts";
import { ReadAhead } from "#workers/wire/read-ahead.ts";
import { type Masking, maskedHeaders, maskingOf } from "../body/masking.ts";
import type { Forwarded, Means } from "../exchange.ts";
import { watch } from "../over.ts";
import { releaseSocket } from "./socket.ts";
import { UntilOver } from "./until-over.ts";

/** Bodies of a declared length up to this are recorded with their head. */
const SMALL = 256 * 1024;
const CHUNK = 1024 * 1024;

export async function release(forwarded: Forwarded, means: Means): Promise<Response> {
  const { response } = forwarded;
  if (response.webSocket) return releaseSocket(forwarded, response.webSocket, means);
  const masking = maskingOf(forwarded);
  const own = responseHeaders(response.headers);
  const headers = masking ? maskedHeaders(own) : own;
  if (!response.body) return whole(forwarded, headers, new Uint8Array(0), means);
  const declared = Number(response.headers.get("content-length") ?? Number.NaN);
  if (declared <= SMALL) {
    const bytes = new Uint8Array(
      await inTime(response.arrayBuffer(), means.settings.stallSeconds, upstreamSilent),
    );
    if (bytes.byteLength !== declared)
      throw new Refusal("upstream_protocol", "the upstream's answer ended early");
    if (!masking) return whole(forwarded, headers, bytes, means);
    const shown = masking.all(bytes);
    const length: Header = ["content-length", `${shown.byteLength}`];
    return whole(forwarded, [...headers, length], shown, means, masking.before(shown.byteLength));
  }
  const length = masking || Number.isNaN(declared) ? undefined : declared;
  return stream(forwarded, { source: response.body, headers, length, masking }, means);
}

async function whole(
  forwarded: Forwarded,
  headers: Header[],
  bytes: Uint8Array<ArrayBuffer>,
  means: Means,
  hidden: readonly Content[] = [],
): Promise<Response> {
  const { session, x, response, inspected } = forwarded;
  const { status } = response;
  const hearing = inspected.hearing?.(status, response.headers);
  hearing?.hear(bytes);
  const content = [...hidden, ...contentOf(hearing, x, true)];
  sure(await means.append.respond(session, x, { status, headers, bytes, end: "complete", content }));
  const body = response.body ? bytes : null;
  return new Response(body, { status, headers: own(forwarded, headers), encodeBody: "manual" });
}

type Answering = {
  readonly source: ReadableStream<Uint8Array>;
  readonly headers: Header[];
  readonly length: number | undefined;
  readonly masking: Masking | undefined;
};

async function stream(
  forwarded: Forwarded,
  { source, headers, length, masking }: Answering,
  means: Means,
): Promise<Response> {
  const { session, x, response } = forwarded;
  const { status } = response;
  const reader = source.getReader({ mode: "byob" });
  const { stallSeconds, streamSeconds } = means.settings;
  const events = isEventStream(response.headers);
  const patience = events ? streamSeconds : stallSeconds;
  const within = <T>(read: Promise<T>) => inTime(read, patience, upstreamSilent);
  const read = pieces(reader, within);
  const ahead = new ReadAhead(masking?.over(read) ?? read, CHUNK, events ? afterFirst(moment) : moment);
  const first = await ahead.take();
  const bytes = first ?? new Uint8Array(0);
  sure(
    await means.append.respond(session, x, {
      status,
      headers,
      bytes,
      content: masking?.before(bytes.byteLength) ?? [],
      ...(first ? {} : { end: "complete" }),
    }),
  );
  if (!first) return new Response(bytes, { status, headers: own(forwarded, headers), encodeBody: "manual" });
  const { readable, writable } =
    length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const hearing = forwarded.inspected.hearing?.(status, response.headers);
  means.meanwhile(pump(forwarded, { reader, ahead, hearing, masking }, writable, bytes, means));
  return new Response(readable, { status, headers: own(forwarded, headers), encodeBody: "manual" });
}

type Source = {
  readonly reader: ReadableStreamBYOBReader;
  readonly ahead: ReadAhead;
  readonly hearing: Hearing | undefined;
  readonly masking: Masking | undefined;
};

/**
 * Records, then writes. The next chunk is taken and recorded while the agent still takes the last one, so that at most
 * two are held; what was released is known, since nothing is written that has not been recorded.
 */
async function pump(
  forwarded: Forwarded,
  { reader, ahead, hearing, masking }: Source,
  writable: WritableStream<Uint8Array>,
  first: Uint8Array,
  means: Means,
): Promise<void> {
  const { session, x } = forwarded;
  const writer = writable.getWriter();
  const over = watch(forwarded, means);
  const until = new UntilOver(over.ended);
  let off = first.byteLength;
  let end: BodyEnd = "cut";
  let written = writer.write(first);
  hearing?.hear(first);
  try {
    for (;;) {
      // Awaited at the next chunk; until then its failure must not count as nobody's.
      written.catch(() => undefined);
      const chunk = await until.wait(ahead.take());
      if (!chunk) break;
      const hidden = masking?.before(off + chunk.byteLength) ?? [];
      sure(await means.append.release(session, x, off, chunk, undefined, hidden));
      off += chunk.byteLength;
      hearing?.hear(chunk);
      await written;
      written = writer.write(chunk);
    }
    await written;
    end = "complete";
    sure(await means.append.finish(session, x, off, end, contentOf(hearing, x, true)));
    await writer.close();
  } catch (cause) {
    // The upstream failed, the agent hung up, the session ended, or the recorder cannot write: in each case nothing
    // more passes, and the record says that the body was cut where it was.
    await Promise.allSettled([
      writer.abort(cause),
      reader.cancel(cause),
      end === "cut" ? means.append.finish(session, x, off, "cut", contentOf(hearing, x, false)) : undefined,
    ]);
  } finally {
    over.stop();
  }
}

const contentOf = (hearing: Hearing | undefined, x: ExchangeId, whole: boolean): readonly Content[] =>
  (hearing?.contained(whole) ?? []).map((frame) => ({ ...frame, x }) as Content);

/** The first of a stream of events is waited for; of a stream that is faster than the recorder, more are worth taking together. */
function afterFirst(moment: () => Promise<void>): () => Promise<void> {
  let first = true;
  return async () => {
    if (!first) return moment();
    first = false;
  };
}

const isEventStream = (headers: Headers): boolean =>
  headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase() === "text/event-stream";

const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

function own({ session, x }: Forwarded, headers: readonly Header[]): Headers {
  return new Headers([...headers, ["steno-session", session], ["steno-exchange", x]] as [string, string][]);
}

function sure(answer: Answer<unknown>): void {
  letGo(answer);
  if ("no" in answer) throw new Refusal(answer.no.code, answer.no.message);
}
