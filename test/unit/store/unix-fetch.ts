/** `fetch` over a unix socket, as workerd's globalOutbound does it: whatever host the URL names. */
import { request } from "node:http";
import { Readable } from "node:stream";

export function unixFetch(socketPath: string): (url: string, init: RequestInit) => Promise<Response> {
  return (url, init) =>
    new Promise((resolve, reject) => {
      const { pathname, search } = new URL(url);
      const body = init.body instanceof Uint8Array ? init.body : undefined;
      const headers = new Headers(init.headers);
      if (body) headers.set("content-length", String(body.length));
      const options = {
        socketPath,
        path: pathname + search,
        method: init.method ?? "GET",
        headers: Object.fromEntries(headers),
        ...(init.signal ? { signal: init.signal } : {}),
      };
      const sent = request(options, (reply) => {
        const empty = init.method === "HEAD";
        if (empty) reply.resume();
        const stream = empty ? null : (Readable.toWeb(reply) as ReadableStream<Uint8Array>);
        const answered = Object.entries(reply.headers).map(([name, value]): [string, string] => [
          name,
          String(value),
        ]);
        resolve(new Response(stream, { status: reply.statusCode ?? 0, headers: answered }));
      });
      sent.on("error", reject);
      sent.end(body);
    });
}
