// Recorded WebSocket messages, read by a decoder that is not ours.
import type { Writable } from "node:stream";
import * as ws from "ws";

type Options = {
  readonly isServer: boolean;
  readonly allowSynchronousEvents: boolean;
  readonly maxPayload: number;
};
/** Exported by `ws`, and missing in its types. */
const { Receiver } = ws as unknown as { readonly Receiver: new (options: Options) => Writable };

/** Texts as strings, binary messages as buffers, a close as `[code, reason]`. Throws on bytes that are no messages. */
export async function readMessages(bytes: Uint8Array): Promise<unknown[]> {
  const found: unknown[] = [];
  const receiver = new Receiver({ isServer: false, allowSynchronousEvents: true, maxPayload: 1 << 26 });
  receiver.on("message", (message: Buffer, isBinary: boolean) =>
    found.push(isBinary ? message : message.toString()),
  );
  receiver.on("conclude", (code: number, reason: Buffer) => found.push([code, reason.toString()]));
  await new Promise<void>((resolve, reject) => {
    receiver.once("error", reject);
    receiver.write(Buffer.from(bytes), () => resolve());
  });
  return found;
}
