/** What an HTTP request is for, in one spelling: what policy decides upon is what goes upstream. */
import { Refusal } from "#durable/format/refusal.ts";
import { withoutQueryCarriers } from "#workers/wire/carriers.ts";

export type Target = {
  /** As it goes upstream: canonical path and query, without the parameters that carry tokens. */
  readonly sent: string;
  /** The path alone. */
  readonly path: string;
  /** Names of the query's parameters, decoded, each once. */
  readonly query: readonly string[];
};

const PATH_MAX = 8_192;
const QUERY_MAX = 16_384;
/** RFC 3986 §2.3: these mean the same whether encoded or not, so they never are. */
const UNRESERVED = /^[A-Za-z0-9._~-]$/;

/** `path` and `query` as the client sent them below the connection, percent-encoding untouched. Throws `Refusal`. */
export function targetOf(path: string, query: string): Target {
  if (path.length > PATH_MAX || query.length > QUERY_MAX)
    throw new Refusal("too_large", "the request's path or query is too long");
  const canonical = canonicalOf(path);
  for (const segment of segmentsOf(canonical)) if (segment === "." || segment === "..") throw ambiguous();
  const kept = withoutQueryCarriers(`${canonical}${query === "?" ? "" : query}`);
  return { sent: kept, path: canonical, query: namesOf(kept) };
}

/** RFC 3986 §6.2.2: hex digits in upper case, unreserved characters decoded. */
function canonicalOf(path: string): string {
  if (!path.startsWith("/") || path.includes("\\")) throw ambiguous();
  const spelled = path.replace(/%(..?)?/g, (whole, hex: string | undefined) => {
    if (hex === undefined || !/^[0-9A-Fa-f]{2}$/.test(hex)) throw malformed();
    const code = Number.parseInt(hex, 16);
    if (code < 0x20 || code === 0x7f || code === 0x5c) throw ambiguous();
    const letter = String.fromCharCode(code);
    return UNRESERVED.test(letter) ? letter : whole.toUpperCase();
  });
  if (/\/\//.test(spelled)) throw ambiguous();
  return spelled;
}

/** Segments as a server sees them that decodes before it splits. */
function segmentsOf(path: string): readonly string[] {
  try {
    // `;` begins parameters of a segment, which some servers cut off before they look at dots.
    return decodeURIComponent(path)
      .split("/")
      .map((segment) => segment.split(";", 1)[0] ?? "");
  } catch (cause) {
    throw malformed(cause);
  }
}

function namesOf(path: string): readonly string[] {
  const mark = path.indexOf("?");
  if (mark < 0) return [];
  return [...new Set(new URLSearchParams(path.slice(mark + 1)).keys())];
}

const ambiguous = (): Refusal =>
  new Refusal(
    "malformed",
    "the path can be read in more than one way: send it without dot segments, empty segments, backslashes and control characters",
  );

const malformed = (cause?: unknown): Refusal =>
  new Refusal("malformed", "the path is not percent-encoded UTF-8", cause === undefined ? {} : { cause });
