// A program of its own: an HTTP server that reads every body to its end, keeps nothing, and answers how long it was.
// `node sink.ts <port>`; apart from the test run, so that swallowing costs the measuring side nothing.
import { createServer } from "node:http";

const port = Number(process.argv[2]);

createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 }, (request, response) => {
  let length = 0;
  request.on("data", (chunk: Buffer) => {
    length += chunk.length;
  });
  request.on("end", () => {
    const body = `{"received":${length}}\n`;
    response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
  });
}).listen(port, "127.0.0.1");
