// A program of its own: a Git server of canned bulk, `node bulk-upstream.ts <port>`. A fetch from the repository `mb100`
// is answered with 100 MB of noise; a push is read to its end, kept nowhere, and reported as taken.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

const NOISE = randomBytes(1024 * 1024);
const packet = (line: string): string => (line.length + 4).toString(16).padStart(4, "0") + line;

async function swallow(request: IncomingMessage): Promise<number> {
  let length = 0;
  for await (const chunk of request) length += (chunk as Buffer).length;
  return length;
}

async function fetched(megabytes: number, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "application/x-git-upload-pack-result" });
  for (let left = megabytes * 1e6; left > 0; left -= NOISE.length) {
    if (!response.write(left < NOISE.length ? NOISE.subarray(0, left) : NOISE)) await once(response, "drain");
  }
  response.end();
}

createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 }, async (request, response) => {
  const megabytes = Number(
    /\/mb(\d+)(?:\.git)?\/git-upload-pack$/.exec(request.url ?? "")?.[1] ?? Number.NaN,
  );
  const length = await swallow(request);
  if (!Number.isNaN(megabytes)) return fetched(megabytes, response);
  const report = `${packet("unpack ok\n")}${packet("ok refs/heads/bench\n")}0000`;
  const headers = { "content-type": "application/x-git-receive-pack-result", "steno-bench-received": length };
  response.writeHead(200, { ...headers, "content-length": report.length }).end(report);
}).listen(Number(process.argv[2]), "127.0.0.1");
