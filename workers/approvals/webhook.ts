/** Tells one webhook: signed, so that whoever receives it knows that it is ours, and not an old one. */
import { bodyOf, type Notice, type NoticeShape } from "#durable/approval/notice.ts";

export type Webhook = {
  readonly url: string;
  readonly shape: NoticeShape;
  readonly secret: string | undefined;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
};

const TIMEOUT_MS = 10_000;

/**
 * Returns when it was taken (2xx). `steno-delivery` is the same each time a notice is told; `steno-signature` is
 * `t=<seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`. Throws otherwise; no redirects.
 */
export async function tellWebhook(
  { url, shape, secret, fetch }: Webhook,
  notice: Notice,
  {
    id,
    approvalsUrl,
    now,
  }: { readonly id: string; readonly approvalsUrl?: string | undefined; readonly now: number },
): Promise<void> {
  const body = bodyOf(shape, notice, approvalsUrl);
  const headers = new Headers({
    "content-type": "application/json",
    "user-agent": "steno",
    "steno-delivery": id,
  });
  if (secret !== undefined)
    headers.set("steno-signature", await signature(secret, body, Math.floor(now / 1000)));
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`it answered ${response.status}`);
}

async function signature(secret: string, body: string, at: number): Promise<string> {
  const utf8 = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", utf8.encode(secret), algorithm, false, ["sign"]);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8.encode(`${at}.${body}`)));
  return `t=${at},v1=${Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
