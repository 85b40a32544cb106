/**
 * Clearances (ARCHITECTURE §3): what the recorder lets through, in a form only it can make.
 *
 * `base64url(JSON) "." base64url(HMAC-SHA-256 over the first part's letters)`. One text for one meaning: the JSON has
 * its members in a fixed order, both parts are canonical base64url, and whatever differs is refused.
 */
import { Buffer } from "node:buffer";
import { Refusal } from "#durable/format/refusal.ts";
import type { ClearanceClaims, RequestBody } from "#durable/format/tape.ts";
import { readUtf8, sha256, toHex, utf8 } from "#durable/proof/bytes.ts";

/** Longest clearance that is read: paths are at most 100 KB. */
const LENGTH_MAX = 512 * 1024;

/** What a clearance says of a body: all of it, or the part that was read to decide. */
export function bodyClaims(
  body:
    | Exclude<RequestBody, { readonly kind: "spooled" }>
    | Extract<ClearanceClaims["body"], { readonly kind: "spooled" }>,
): ClearanceClaims["body"] {
  switch (body.kind) {
    case "none":
      return { kind: "none" };
    case "whole":
      return { kind: "whole", sha256: toHex(sha256(body.bytes)) };
    case "stream":
      return { kind: "stream", prefix: body.prefix.byteLength, sha256: toHex(sha256(body.prefix)) };
    case "spooled":
      return ordered(body);
  }
}

/** `key` is HMAC-SHA-256 with usage `sign`. Throws on claims that could not be opened again. */
export async function mintClearance(key: CryptoKey, claims: ClearanceClaims): Promise<string> {
  if (!isSound(claims)) throw new Error("Invalid claims: no clearance is made of them");
  const payload = base64url(utf8(canonical(claims)));
  const mac = await crypto.subtle.sign("HMAC", key, utf8(payload));
  return `${payload}.${base64url(new Uint8Array(mac))}`;
}

/**
 * The claims of a clearance that this key made and that is good at `now` (milliseconds since 1970).
 * Throws `Refusal("denied")`. Says nothing of whether it was used before (`Spent`) or fits a request (`requireCover`).
 */
export async function openClearance(
  key: CryptoKey,
  clearance: string,
  now: number,
): Promise<ClearanceClaims> {
  if (clearance.length > LENGTH_MAX) throw invalid("too long");
  const [payload = "", mac = "", ...rest] = clearance.split(".");
  const tag = fromBase64url(mac);
  if (rest.length > 0 || !tag || !/^[\w-]+$/.test(payload)) throw invalid("not two parts of base64url");
  // Before anything of it is parsed. WebCrypto compares in constant time.
  if (!(await crypto.subtle.verify("HMAC", key, tag, utf8(payload)))) throw invalid("not made by this key");
  const claims = parse(new Uint8Array(Buffer.from(payload, "base64url")));
  if (claims.expires <= now) throw new Refusal("denied", "the clearance has expired");
  return claims;
}

/** Throws `Refusal("denied")` unless the clearance is for exactly this request. */
export function requireCover(
  claims: ClearanceClaims,
  request: Pick<ClearanceClaims, "connection" | "method" | "path" | "body">,
): void {
  for (const part of ["connection", "method", "path"] as const) {
    if (claims[part] !== request[part]) throw uncovered(part);
  }
  if (JSON.stringify(ordered(claims.body)) !== JSON.stringify(ordered(request.body))) throw uncovered("body");
}

/** The MAC proves that the recorder wrote it; what is checked here is that it is the one text for its claims. */
function parse(bytes: Uint8Array): ClearanceClaims {
  const text = readUtf8(bytes) ?? "";
  let claims: ClearanceClaims;
  try {
    claims = JSON.parse(text) as ClearanceClaims;
    if (canonical(claims) !== text || !isSound(claims)) throw new Error("another text, or unsound");
  } catch (cause) {
    throw invalid("not the claims of a clearance", cause);
  }
  return claims;
}

/** Runs twice in every exchange, so by hand: a schema would cost more than the MAC. */
const isSound = ({ method, path, verdict, expires, nonce }: ClearanceClaims): boolean =>
  verdict === "allow" &&
  /^[A-Z]{1,32}$/.test(method) &&
  path.startsWith("/") &&
  Number.isSafeInteger(expires) &&
  nonce.length >= 16 &&
  nonce.length <= 64;

function canonical(claims: ClearanceClaims): string {
  const { session, x, connection, method, path, verdict, body, expires, nonce } = claims;
  return JSON.stringify({
    session,
    x,
    connection,
    method,
    path,
    verdict,
    body: ordered(body),
    expires,
    nonce,
  });
}

function ordered(body: ClearanceClaims["body"]): ClearanceClaims["body"] {
  switch (body.kind) {
    case "none":
      return { kind: body.kind };
    case "whole":
      return { kind: body.kind, sha256: body.sha256 };
    case "stream":
      return { kind: body.kind, prefix: body.prefix, sha256: body.sha256 };
    case "spooled":
      return { kind: body.kind, length: body.length, sha256: body.sha256 };
  }
}

const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url");

/** Canonical base64url without padding; undefined for anything else. */
function fromBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(Buffer.from(text, "base64url"));
  return text !== "" && base64url(bytes) === text ? bytes : undefined;
}

const invalid = (why: string, cause?: unknown): Refusal =>
  new Refusal("denied", "the clearance is not valid", { cause: new Error(why, { cause }) });

const uncovered = (part: string): Refusal => new Refusal("denied", `the clearance is for another ${part}`);
