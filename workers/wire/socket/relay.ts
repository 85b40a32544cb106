/** Carries the messages of one WebSocket to another, in order, each recorded before it is passed on. */
import type { BodyEnd } from "#durable/format/frame.ts";
import { closeBytes, isSendable, MESSAGE_MAX, messageBytes } from "./message.ts";

/** Makes bytes durable, and how they ended. What throws stops the relay: nothing more is passed. */
export type Keep = (bytes: Uint8Array<ArrayBuffer>, end?: BodyEnd) => Promise<void>;

/** WebSockets have no way to say "slower": a sender that is this far ahead of the record is cut off. */
const AHEAD_MAX = 2 * MESSAGE_MAX;

/** RFC 6455 §7.4.1 and IANA's registry: why the gateway ends a socket of its own accord. */
export const CLOSED = { policy: 1008, tooBig: 1009, broken: 1011, slow: 1013 } as const;

const NOTHING = new Uint8Array(0);

/**
 * Passes what `from` says to `to`. Both are accepted by the caller, after this has been called for either direction.
 * `keep` is called one at a time, in order; the close is kept too. When anything fails both ends are closed and
 * `keep` is told that the body was cut.
 */
export function relay(from: WebSocket, to: WebSocket, keep: Keep): void {
  let last: Promise<void> = Promise.resolve();
  let ahead = 0;
  let over = false;
  const stop = (code: number, why: string): void => {
    if (over) return;
    over = true;
    shut(from, code, why);
    shut(to, code, why);
    last = last.then(() => keep(NOTHING, "cut")).catch(() => undefined);
  };
  const next = (work: () => Promise<void>): void => {
    last = last.then(() => (over ? undefined : work())).catch(() => stop(CLOSED.broken, "not recorded"));
  };
  from.addEventListener("message", ({ data }) => {
    const size = typeof data === "string" ? data.length : data.byteLength;
    ahead += size;
    if (size > MESSAGE_MAX) return stop(CLOSED.tooBig, "the message is too long");
    if (ahead > AHEAD_MAX) return stop(CLOSED.slow, "more comes than can be recorded");
    next(async () => {
      await keep(messageBytes(data));
      ahead -= size;
      to.send(data);
    });
  });
  from.addEventListener("close", ({ code, reason }) => {
    next(async () => {
      over = true;
      await keep(closeBytes(code, reason), "complete");
      shut(to, code, reason);
    });
  });
  from.addEventListener("error", () => stop(CLOSED.broken, "the other side broke off"));
}

function shut(socket: WebSocket, code: number, reason: string): void {
  try {
    if (isSendable(code)) socket.close(code, reason);
    else socket.close();
  } catch {
    // It is closed already, which is what was wanted.
  }
}
