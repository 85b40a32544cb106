/** A WebSocket that upstream opened: what it says is durable before the agent hears it. */

import { responseHeaders } from "#workers/wire/headers.ts";
import { granted } from "#workers/wire/problem.ts";
import { CLOSED, relay } from "#workers/wire/socket/relay.ts";
import type { Forwarded, Means } from "../exchange.ts";
import { watch } from "../over.ts";

export async function releaseSocket(
  { session, x, response }: Forwarded,
  upstream: WebSocket,
  means: Means,
): Promise<Response> {
  const headers = responseHeaders(response.headers);
  granted(await means.append.respond(session, x, { status: 101, headers }));
  const { 0: agent, 1: own } = new WebSocketPair();
  let off = 0;
  relay(upstream, own, async (bytes, end) => {
    granted(await means.append.release(session, x, off, bytes, end));
    off += bytes.byteLength;
  });
  // What the agent says is recorded by egress, before the upstream hears it.
  relay(own, upstream, async () => undefined);
  for (const socket of [upstream, own]) {
    socket.binaryType = "arraybuffer";
    socket.accept();
  }
  const over = watch({ session }, means);
  over.ended.catch(() => {
    for (const socket of [upstream, own]) socket.close(CLOSED.policy, "the session has ended");
  });
  own.addEventListener("close", () => over.stop());
  const told = new Headers([...headers, ["steno-session", session], ["steno-exchange", x]] as [
    string,
    string,
  ][]);
  return new Response(null, { status: 101, webSocket: agent, headers: told });
}
