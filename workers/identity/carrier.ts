/** Where a request carries its token: `Authorization`, as Bearer or as the password of Basic. Nowhere else. */
import { Refusal } from "#durable/format/refusal.ts";

/** Longest token that is looked at. Real ones are 1 to 4 KiB; many groups make them longer. */
export const TOKEN_MAX = 16 * 1024;

// RFC 7235 §2.1 token68; a JWT is one.
const TOKEN68 = /^[A-Za-z0-9._~+/-]+=*$/;
const CREDENTIALS = /^(\S+) +(\S+)$/;

/**
 * The token of a request. Takes `Bearer <token>`, and for git `Basic`: the token as password under any user name,
 * or as user name with an empty password or `x-oauth-basic`.
 * Throws `Refusal("unauthenticated")`, whose sentence never repeats what was sent.
 */
export function carriedToken(headers: Headers): string {
  const field = headers.get("authorization");
  if (field === null || field === "") {
    throw new Refusal("unauthenticated", "a token is needed: send it as Bearer, or as the password of Basic");
  }
  if (field.length > 2 * TOKEN_MAX)
    throw new Refusal("unauthenticated", "the Authorization header is too long");
  const [, scheme = "", value = ""] = CREDENTIALS.exec(field) ?? [];
  switch (scheme.toLowerCase()) {
    case "bearer":
      return checked(value);
    case "basic":
      return checked(ofBasic(value));
    default:
      throw new Refusal("unauthenticated", "the Authorization header is neither Bearer nor Basic");
  }
}

/**
 * The token of a request to a model API, whose clients put their key where the provider wants it: `Authorization`,
 * `x-api-key` (Anthropic), `x-goog-api-key` or `?key=` (Google). The first of these that is there counts.
 */
export function apiToken(headers: Headers, query: string): string {
  if (headers.has("authorization")) return carriedToken(headers);
  const key =
    headers.get("x-api-key") ?? headers.get("x-goog-api-key") ?? new URLSearchParams(query).get("key");
  if (key === null || key === "")
    throw new Refusal("unauthenticated", "a token is needed: send it as Bearer, or as the API key");
  return checked(key);
}

/** Before the id of a conversation in the user name of Basic. */
const CONVERSATION = "conversation.";

/**
 * The conversation that git's credential helper says as the user name of Basic, `conversation.<id>`: git sends no field that
 * changes from one conversation to the next. Undefined where there is none. It is a claim, like every name of a conversation.
 */
export function carriedConversation(headers: Headers): string | undefined {
  const [, scheme = "", value = ""] = CREDENTIALS.exec(headers.get("authorization") ?? "") ?? [];
  if (scheme.toLowerCase() !== "basic") return undefined;
  const user = textOfBasic(value)?.split(":", 1)[0];
  return user?.startsWith(CONVERSATION) ? user.slice(CONVERSATION.length) : undefined;
}

/** RFC 7617: base64 of UTF-8 `user:password`; the first colon divides. */
function ofBasic(value: string): string {
  const text = textOfBasic(value);
  if (text === undefined) throw new Refusal("unauthenticated", "the Basic credentials cannot be read");
  const colon = text.indexOf(":");
  if (colon < 0) throw new Refusal("unauthenticated", "the Basic credentials have no colon");
  const password = text.slice(colon + 1);
  return password === "" || password === "x-oauth-basic" ? text.slice(0, colon) : password;
}

function textOfBasic(value: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(value), (letter) => letter.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // No base64, or no UTF-8: what it would have said is not repeated.
    return undefined;
  }
}

function checked(token: string): string {
  if (token.length > TOKEN_MAX) throw new Refusal("unauthenticated", "the token is too long");
  if (!TOKEN68.test(token)) throw new Refusal("unauthenticated", "the token cannot be read");
  return token;
}
