/** A session as an HTTP Archive 1.2: what browsers' tools and test runners read. */
import type { Header } from "#durable/format/frame.ts";
import { readUtf8, toBase64 } from "#durable/proof/bytes.ts";
import {
  type Body,
  bodyBytes,
  bodyLength,
  type Exchange,
  type ReplayItem,
} from "#durable/proof/replay/replay.ts";
import { outcomeOf } from "#durable/proof/replay/summary.ts";

type Named = { readonly name: string; readonly value: string };

/**
 * Connections have names, not hosts: a URL's host is `<connection>.connection.invalid`. What HAR has no member for is in
 * `_steno`. A body that was not kept has its size and no text. Headers are as recorded, so without credentials.
 */
export function harOf(session: string, items: readonly ReplayItem[]): object {
  const exchanges = items.flatMap((item) => (item.kind === "exchange" ? [item.exchange] : []));
  return {
    log: {
      version: "1.2",
      creator: { name: "steno", version: "1" },
      comment: `session ${session}`,
      entries: exchanges.flatMap(entryOf),
    },
  };
}

function entryOf(exchange: Exchange): object[] {
  const { request, response, decision, at, until, x, frames } = exchange;
  if (!request) return [];
  const url = new URL(`http://${request.connection || "none"}.connection.invalid`);
  const [path = "", query] = request.path.split(/\?(.*)/s);
  url.pathname = path;
  if (query !== undefined) url.search = query;
  const { refusal } = response ?? {};
  const time = Math.max(0, until - at);
  return [
    {
      startedDateTime: new Date(at).toISOString(),
      time,
      request: {
        method: request.method,
        url: url.href,
        httpVersion: "HTTP/1.1",
        cookies: [],
        headers: headersOf(request.headers),
        queryString: [...url.searchParams].map(([name, value]): Named => ({ name, value })),
        ...postOf(exchange.c2s, request.headers),
        headersSize: -1,
        bodySize: bodyLength(exchange.c2s),
      },
      response: {
        status: response?.status ?? 0,
        statusText: "",
        httpVersion: "HTTP/1.1",
        cookies: [],
        headers: headersOf(response?.headers ?? []),
        content: contentOf(exchange.s2c, response?.headers ?? []),
        redirectURL: headerOf(response?.headers ?? [], "location") ?? "",
        headersSize: -1,
        bodySize: bodyLength(exchange.s2c),
      },
      cache: {},
      timings: { send: 0, wait: time, receive: 0 },
      _steno: {
        exchange: x,
        frames: [frames[0], frames.at(-1)],
        outcome: outcomeOf(exchange),
        operation: request.operation,
        ...(decision && {
          decision: { verdict: decision.verdict, policies: decision.policies, reason: decision.reason },
        }),
        ...(refusal && { refusal }),
        ends: { request: exchange.c2s.end, response: exchange.s2c.end },
      },
    },
  ];
}

const headersOf = (headers: readonly Header[]): Named[] => headers.map(([name, value]) => ({ name, value }));

const headerOf = (headers: readonly Header[], wanted: string): string | undefined =>
  headers.find(([name]) => name.toLowerCase() === wanted)?.[1];

function postOf(body: Body, headers: readonly Header[]): object {
  if (bodyLength(body) === 0) return {};
  const { text, encoding } = textOf(body);
  const mimeType = headerOf(headers, "content-type") ?? "application/octet-stream";
  // HAR 1.2 has no encoding for what was sent; readers know `_encoding` or show the base64.
  return { postData: { mimeType, text: text ?? "", params: [], ...(encoding && { _encoding: encoding }) } };
}

function contentOf(body: Body, headers: readonly Header[]): object {
  const mimeType = headerOf(headers, "content-type") ?? "application/octet-stream";
  const { text, encoding } = textOf(body);
  return {
    size: bodyLength(body),
    mimeType,
    ...(text !== undefined && { text }),
    ...(encoding && { encoding }),
  };
}

function textOf(body: Body): { readonly text?: string; readonly encoding?: "base64" } {
  const bytes = bodyBytes(body);
  if (!bytes) return {};
  const text = readUtf8(bytes);
  return text === undefined ? { text: toBase64(bytes), encoding: "base64" } : { text };
}
