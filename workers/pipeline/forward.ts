/** Sends a cleared exchange upstream through egress, which checks the clearance and adds the credential. */
import { REFUSALS, Refusal, type RefusalCode } from "#durable/format/refusal.ts";
import type { Inspected } from "#workers/adapters/adapter.ts";
import type { Masker } from "#workers/mask/stream/masker.ts";
import type { Body } from "#workers/wire/body.ts";
import { endMark, MARK_LENGTH } from "#workers/wire/end-mark.ts";
import { inTime, upstreamSilent } from "#workers/wire/in-time.ts";
import { granted } from "#workers/wire/problem.ts";
import { isUpgrade } from "#workers/wire/socket/message.ts";
import { show } from "./answer/show.ts";
import { frameOf } from "./body/mask.ts";
import type { Cleared, Forwarded, Means } from "./exchange.ts";
import { watch } from "./over.ts";

export async function forward(cleared: Cleared, means: Means): Promise<Forwarded> {
  const { adapter, inspected } = cleared;
  const head = Promise.withResolvers<void>();
  const over = watch(cleared, means);
  const given = new AbortController();
  const forwarded = adapter.forward(inspected, async (outgoing) => {
    const response = await send(outgoing, cleared, means, given.signal);
    head.resolve();
    return response;
  });
  try {
    // Egress waits for the head; what the adapter reads after it must not stall either.
    await Promise.race([forwarded, head.promise, over.ended]);
    const answer = inTime(forwarded, means.settings.stallSeconds, upstreamSilent);
    const response = await Promise.race([answer, over.ended]);
    return { ...cleared, response: await Promise.race([show(cleared, response, means), over.ended]) };
  } catch (cause) {
    given.abort(cause);
    forwarded.catch(() => undefined);
    throw cause;
  } finally {
    over.stop();
  }
}

async function send(
  { outgoing, body }: Inspected,
  cleared: Cleared,
  means: Means,
  signal: AbortSignal,
): Promise<Response> {
  const headers = new Headers(outgoing.headers.map(([name, value]) => [name, value]));
  headers.set("steno-clearance", cleared.clearance);
  const response = await means.egress.fetch(`http://egress${outgoing.path}`, {
    method: outgoing.method,
    headers,
    body: isUpgrade(headers) ? null : outgoingBody(body, cleared, means),
    redirect: "manual",
    encodeResponseBody: "manual",
    signal,
  });
  const code = response.headers.get("steno-refusal");
  if (code !== null) throw new Refusal(codeOf(code), await response.text());
  return response;
}

/** The prefix that was read, then the rest, natively piped, then the mark of its end; of known length where the sender gave it. */
function outgoingBody(body: Body, cleared: Cleared, means: Means): BodyInit | null {
  if (body.kind === "none") return null;
  if (body.kind === "whole") return body.bytes;
  // Egress has it from the recorder.
  if (body.kind === "spooled") return null;
  const { readable, writable } =
    body.length === undefined
      ? new IdentityTransformStream()
      : new FixedLengthStream(body.length + MARK_LENGTH);
  means.meanwhile(fill(writable, body, cleared, means));
  return readable;
}

async function fill(
  writable: WritableStream<Uint8Array>,
  { prefix, rest }: Extract<Body, { readonly kind: "stream" }>,
  cleared: Cleared,
  means: Means,
): Promise<void> {
  try {
    const writer = writable.getWriter();
    if (prefix.byteLength > 0) await writer.write(prefix);
    if (cleared.masker) await fillMasked(writer, rest, { ...cleared, masker: cleared.masker }, means);
    writer.releaseLock();
    if (!cleared.masker) await rest.pipeTo(writable, { preventClose: true });
    const last = writable.getWriter();
    await last.write(endMark(cleared.clearance));
    await last.close();
  } catch (cause) {
    // The client or egress hung up. Egress sees the body end without its mark, records it as cut, and answers for both.
    await writable.abort(cause).catch(() => undefined);
  }
}

/** What was hidden is recorded before what stands for it leaves. */
async function fillMasked(
  writer: WritableStreamDefaultWriter<Uint8Array>,
  rest: ReadableStream<Uint8Array>,
  { masker, session, x }: Cleared & { readonly masker: Masker },
  means: Means,
): Promise<void> {
  const write = async (shown: Uint8Array) => {
    const found = masker.masks().map((mask) => frameOf(mask, x, "c2s"));
    if (found.length > 0) granted(await means.append.contained(session, x, found));
    if (shown.byteLength > 0) await writer.write(shown);
  };
  try {
    for await (const chunk of rest) await write(masker.push(chunk));
    await write(masker.end());
  } catch (cause) {
    writer.releaseLock();
    throw cause;
  }
}

const codeOf = (text: string): RefusalCode =>
  text in REFUSALS ? (text as RefusalCode) : "upstream_protocol";
