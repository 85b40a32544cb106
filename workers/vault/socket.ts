/** A WebSocket to an upstream: what the agent says is durable before the upstream hears it. */
import type { Spool } from "#workers/contract/recorder.ts";
import { granted } from "#workers/wire/problem.ts";
import { relay } from "#workers/wire/socket/relay.ts";

/**
 * The gateway's end of a socket that `open` got from the upstream, or the upstream's own answer when it opens none.
 * `clearance` is the one that let the request through: the agent's messages are recorded under it.
 */
export async function overSocket(
  open: () => Promise<Response>,
  clearance: string,
  spool: Spool,
): Promise<Response> {
  const response = await open();
  const upstream = response.webSocket;
  if (!upstream) {
    granted(await spool.finish(clearance, 0, "complete"));
    return response;
  }
  const { 0: gateway, 1: own } = new WebSocketPair();
  let off = 0;
  relay(own, upstream, async (bytes, end) => {
    if (bytes.byteLength > 0) granted(await spool.append(clearance, off, bytes));
    off += bytes.byteLength;
    if (end) granted(await spool.finish(clearance, off, end));
  });
  // What the upstream says is recorded by the gateway, before the agent hears it.
  relay(upstream, own, async () => undefined);
  for (const socket of [own, upstream]) {
    socket.binaryType = "arraybuffer";
    socket.accept();
  }
  return new Response(null, { status: 101, webSocket: gateway, headers: response.headers });
}
