/** Where requests carry tokens, of whatever protocol: an agent's never reaches an upstream, a frame or a log. */
import type { Header } from "#durable/format/frame.ts";

const FIELDS: ReadonlySet<string> = new Set([
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

const PARAMETERS: ReadonlySet<string> = new Set([
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

/** Beside them, what no frame may show, though an upstream may need it: an OAuth code, a signed link. */
const SECRETS: ReadonlySet<string> = new Set([
  "refresh_token",
  "id_token",
  "token",
  "code",
  "client_secret",
  "password",
  "secret",
  "sig",
  "signature",
]);

export const isCarrier = (name: string): boolean => FIELDS.has(name.toLowerCase());

export const withoutCarriers = (headers: readonly Header[]): Header[] =>
  headers.filter(([name]) => !isCarrier(name));

/** A path with its query less the parameters that carry tokens. What stays, stays byte for byte. */
export function withoutQueryCarriers(path: string): string {
  const mark = path.indexOf("?");
  if (mark < 0) return path;
  const pairs = path.slice(mark + 1).split("&");
  const kept = pairs.filter((pair) => !namesIn(pair).some((name) => PARAMETERS.has(name)));
  if (kept.length === pairs.length) return path;
  return kept.length === 0 ? path.slice(0, mark) : `${path.slice(0, mark + 1)}${kept.join("&")}`;
}

/** A query (with its `?`, or "") with the value of every credential replaced; all else keeps its bytes. For frames and logs. */
export function withoutCredentials(query: string): string {
  if (!query.startsWith("?")) return query;
  const pairs = query.slice(1).split("&");
  const written = pairs.map((pair) =>
    namesIn(pair, "=").some((name) => PARAMETERS.has(name) || SECRETS.has(name))
      ? `${pair.slice(0, pair.indexOf("="))}=***`
      : pair,
  );
  return `?${written.join("&")}`;
}

/** The parameters (those that have a `mark`) between two `&`: some servers still read `;` as one. */
const namesIn = (pair: string, mark = ""): string[] =>
  pair.split(";").flatMap((part) => (part.includes(mark) ? [decoded(part.split("=", 1)[0] ?? "")] : []));

function decoded(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll("+", " ")).trim().toLowerCase();
  } catch {
    // Not percent-encoding: no upstream reads one of our names in it.
    return name.toLowerCase();
  }
}
