/** WebSockets (RFC 6455): which requests open one, and how its messages are written down as bytes. */
import type { Header } from "#durable/format/frame.ts";
import type { Body } from "../body.ts";

export const isUpgrade = (headers: Headers): boolean => headers.get("upgrade")?.toLowerCase() === "websocket";

/** Nothing is known of what will be said; egress records it as it comes. */
export const socketBody = (): Body => ({
  kind: "stream",
  prefix: new Uint8Array(0),
  rest: new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }),
  length: undefined,
});

/** Each side makes its own handshake; of the agent's only the subprotocols go on. */
export const socketHeaders = (headers: readonly Header[]): readonly Header[] => [
  ...headers.filter(([name]) => !name.startsWith("sec-websocket-") || name === "sec-websocket-protocol"),
  ["upgrade", "websocket"],
];

/** Longest message that passes. */
export const MESSAGE_MAX = 32 * 1024 * 1024;

const FIN = 0x80;
const OPCODE = { text: 1, binary: 2, close: 8 } as const;

/**
 * A message as it is recorded: one unmasked frame of RFC 6455 §5.2, so that a body of messages keeps their borders and
 * their kinds, and any WebSocket decoder reads it.
 */
export function messageBytes(message: string | ArrayBuffer): Uint8Array<ArrayBuffer> {
  return typeof message === "string"
    ? framed(OPCODE.text, new TextEncoder().encode(message))
    : framed(OPCODE.binary, new Uint8Array(message));
}

/** The close frame; a code that must not be sent (RFC 6455 §7.4.1) is left out, as its sender left it out. */
export function closeBytes(code: number, reason: string): Uint8Array<ArrayBuffer> {
  if (!isSendable(code)) return framed(OPCODE.close, new Uint8Array(0));
  const text = new TextEncoder().encode(reason);
  const payload = new Uint8Array(2 + text.byteLength);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(text, 2);
  return framed(OPCODE.close, payload);
}

export const isSendable = (code: number): boolean =>
  code >= 1000 && code < 5000 && ![1004, 1005, 1006, 1015].includes(code);

function framed(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const { byteLength: length } = payload;
  const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const bytes = new Uint8Array(2 + extra + length);
  const view = new DataView(bytes.buffer);
  bytes[0] = FIN | opcode;
  bytes[1] = extra === 0 ? length : extra === 2 ? 126 : 127;
  if (extra === 2) view.setUint16(2, length);
  if (extra === 8) view.setBigUint64(2, BigInt(length));
  bytes.set(payload, 2 + extra);
  return bytes;
}
