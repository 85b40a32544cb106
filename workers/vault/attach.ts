/** Takes every token of the agent off a request, and puts the gateway's own credential on. Never logs. */
import { Buffer } from "node:buffer";
import type { Header } from "#durable/format/frame.ts";

/** Header fields that carry tokens, of whatever protocol: an agent's never reaches an upstream or a frame. */
const CARRIERS: ReadonlySet<string> = new Set([
  "authorization",
  "proxy-authorization",
  "x-authorization",
  "x-forwarded-authorization",
  "x-forwarded-access-token",
  "x-original-authorization",
  "cookie",
  "cookie2",
  "dpop",
  "api-key",
  "apikey",
  "x-api-key",
  "x-api-token",
  "x-goog-api-key",
  "x-goog-iap-jwt-assertion",
  "x-auth-token",
  "x-auth-key",
  "x-access-token",
  "x-amz-security-token",
  "x-gitlab-token",
  "x-vault-token",
  "private-token",
  "job-token",
  "deploy-token",
]);

const QUERY_CARRIERS: ReadonlySet<string> = new Set([
  "key",
  "api_key",
  "api-key",
  "apikey",
  "access_token",
  "auth_token",
  "private_token",
  "job_token",
  "x-api-key",
  "x-goog-api-key",
]);

export type Credential = {
  readonly scheme: "basic" | "bearer";
  /** For basic `user:password`; without a colon it is the password of user `steno`. */
  readonly secret: string;
};

export const isCarrier = (name: string): boolean => CARRIERS.has(name.toLowerCase());

export const withoutCarriers = (headers: readonly Header[]): Header[] =>
  headers.filter(([name]) => !isCarrier(name));

/** A path with its query less the parameters that carry tokens. What stays, stays byte for byte. */
export function withoutQueryCarriers(path: string): string {
  const mark = path.indexOf("?");
  if (mark < 0) return path;
  const pairs = path.slice(mark + 1).split("&");
  const kept = pairs.filter(
    // Some servers still read `;` as `&`.
    (pair) => !pair.split(";").some((part) => QUERY_CARRIERS.has(decodedName(part))),
  );
  if (kept.length === pairs.length) return path;
  return kept.length === 0 ? path.slice(0, mark) : `${path.slice(0, mark + 1)}${kept.join("&")}`;
}

/**
 * The headers of an upstream request: without any token carrier, then with the credential, if there is one.
 * Throws when the secret cannot stand in a header; the error does not repeat it.
 */
export function attach(headers: Headers, credential: Credential | undefined): Headers {
  const outgoing = new Headers(headers);
  for (const name of [...outgoing.keys()]) if (isCarrier(name)) outgoing.delete(name);
  if (credential) outgoing.set("authorization", authorization(credential));
  return outgoing;
}

function authorization({ scheme, secret }: Credential): string {
  // Files end in a line end that is not part of the secret.
  const text = secret.replace(/\r?\n$/, "");
  if (text === "" || /\p{Cc}/u.test(text)) throw new Error("a credential is empty or has control characters");
  switch (scheme) {
    case "basic":
      return `Basic ${Buffer.from(text.includes(":") ? text : `steno:${text}`).toString("base64")}`;
    case "bearer":
      if (!/^[\x21-\x7e]+$/.test(text))
        throw new Error("a bearer credential has characters no header can hold");
      return `Bearer ${text}`;
  }
}

function decodedName(pair: string): string {
  const name = pair.split("=", 1)[0] ?? "";
  try {
    return decodeURIComponent(name.replaceAll("+", " ")).toLowerCase();
  } catch {
    // Not percent-encoding: no upstream reads one of our names in it.
    return name.toLowerCase();
  }
}
