/** Which headers may pass a gateway, each way. */
import type { Header } from "#durable/format/frame.ts";
import { isCarrier } from "./carriers.ts";

/** Hop-by-hop fields: RFC 9110 §7.6.1, and those of RFC 2616 §13.5.1 that peers still send. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Fields about this connection alone: Host is the upstream's (RFC 9110 §7.2), Expect was answered here (§10.1.1), the
 * runtime frames the body. Forwarding fields (RFC 7239) and their kin would let an agent claim to be somebody else.
 */
const REQUEST_OURS: ReadonlySet<string> = new Set([
  "host",
  "expect",
  "content-length",
  "forwarded",
  "via",
  "x-real-ip",
  "x-http-method-override",
  "x-original-url",
  "x-rewrite-url",
  "x-remote-user",
  "remote-user",
]);

/**
 * Answers of the upstream that would act on the gateway's own origin: its challenges (RFC 9110 §11.6.1, §11.7.1),
 * its cookies, its transport policy (RFC 6797) and its alternative addresses (RFC 7838), which lead past the gateway.
 */
const RESPONSE_OURS: ReadonlySet<string> = new Set([
  "www-authenticate",
  "proxy-authenticate",
  "authentication-info",
  "proxy-authentication-info",
  "set-cookie",
  "set-cookie2",
  "strict-transport-security",
  "alt-svc",
  "clear-site-data",
  "refresh",
]);

/** The request fields that may go upstream and into frames, in the order given, names in lower case. */
export function requestHeaders(headers: Headers): readonly Header[] {
  const named = namedInConnection(headers);
  return [...headers].filter(
    ([name]) =>
      !HOP_BY_HOP.has(name) &&
      !named?.has(name) &&
      !isCarrier(name) &&
      !REQUEST_OURS.has(name) &&
      !name.startsWith("x-forwarded-") &&
      !name.startsWith("steno-"),
  );
}

/** The response fields that may go to the agent and into frames. */
export function responseHeaders(headers: Headers): Header[] {
  const named = namedInConnection(headers);
  return [...headers].filter(
    ([name]) =>
      !HOP_BY_HOP.has(name) && !named?.has(name) && !RESPONSE_OURS.has(name) && !name.startsWith("steno-"),
  );
}

/** Fields a message names in its Connection field (RFC 9110 §7.6.1). */
function namedInConnection(headers: Headers): ReadonlySet<string> | undefined {
  const field = headers.get("connection");
  return field === null ? undefined : new Set(field.split(",").map((name) => name.trim().toLowerCase()));
}
