// The stdio bridge before a gateway that answers as each test says: what a client reads, whatever goes wrong behind it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bridge } from "#scripts/mcp/bridge.ts";
import { Link } from "#scripts/mcp/link.ts";
import { mcp } from "#scripts/mcp/mcp.ts";
import { Kept } from "./gateway.ts";

type Asked = {
  readonly method: string;
  readonly headers: IncomingMessage["headers"];
  readonly said: string;
};
type Answer = (asked: Asked, response: ServerResponse) => void;

let server: Server;
let asked: Asked[];
let answer: Answer;
let token: string;

beforeEach(async () => {
  asked = [];
  token = "tok";
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const one = {
      method: `${request.method} ${request.url}`,
      headers: request.headers,
      said: Buffer.concat(chunks).toString(),
    };
    asked.push(one);
    answer(one, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** A bridge whose client writes `lines` of its own and reads what comes. */
function started() {
  const input = new PassThrough();
  const lines: string[] = [];
  const complaints: string[] = [];
  const stop = new AbortController();
  let wake = () => {};
  const base = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const target = () => {
    if (token === "") throw new Error("there is no token");
    return { base, token };
  };
  const done = bridge(new Link({ connection: "tracker", target }), {
    input,
    write: async (line) => {
      lines.push(line);
      wake();
    },
    complain: (text) => void complaints.push(text),
    stop: stop.signal,
  });
  return {
    lines,
    complaints,
    stop,
    done,
    say: (message: object | string) =>
      void input.write(`${typeof message === "string" ? message : JSON.stringify(message)}\n`),
    async heard(count: number): Promise<unknown[]> {
      while (lines.length < count)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return lines.map((line) => JSON.parse(line));
    },
    async end() {
      input.end();
      await done;
    },
  };
}

const request = (id: number, method = "tools/call", more: object = {}) => ({
  jsonrpc: "2.0",
  id,
  method,
  params: { name: "echo", ...more },
});
const json = (response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}) =>
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
const idOf = ({ said }: Asked): unknown => (JSON.parse(said) as { id: unknown }).id;
const result = (id: unknown) => JSON.stringify({ jsonrpc: "2.0", id, result: {} });
const failed = (id: unknown, message: unknown, code = -32000) => ({
  jsonrpc: "2.0",
  id,
  error: { code, message },
});

test("what a server answers over several lines is one line, letter by letter", async () => {
  answer = (_, response) =>
    json(response, 200, '{"jsonrpc":"2.0",\r\n"id":1,\n"result":{"n":12345678901234567890}}');
  const run = started();
  run.say(request(1));
  await run.heard(1);
  expect(run.lines).toEqual(['{"jsonrpc":"2.0", "id":1, "result":{"n":12345678901234567890}}']);
  await run.end();
});

test("the session and the revision of initialize go along with all that follows, and the session is ended", async () => {
  answer = ({ method, said }, response) => {
    if (method.startsWith("GET")) return void response.writeHead(405).end();
    if (method.startsWith("DELETE") || said.includes("notifications/"))
      return void response.writeHead(202).end();
    const opened = JSON.stringify({ jsonrpc: "2.0", id: 0, result: { protocolVersion: "2025-11-25" } });
    json(response, 200, said.includes("initialize") ? opened : result(1), { "mcp-session-id": "s1" });
  };
  const run = started();
  run.say(request(0, "initialize"));
  run.say({ jsonrpc: "2.0", method: "notifications/initialized" });
  run.say(request(1));
  await run.heard(2);
  await run.end();
  const [first, ...rest] = asked;
  expect(first?.headers["mcp-session-id"]).toBeUndefined();
  expect(rest.map(({ method }) => method.split(" ")[0]).toSorted()).toEqual([
    "DELETE",
    "GET",
    "POST",
    "POST",
  ]);
  for (const { headers } of rest)
    expect(headers).toMatchObject({ "mcp-session-id": "s1", "mcp-protocol-version": "2025-11-25" });
});

test("a message of 2026-07-28 is mirrored in the fields that its server wants", async () => {
  answer = (one, response) => json(response, 200, result(idOf(one)));
  const run = started();
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  run.say(request(1, "tools/call", { _meta, name: "größer" }));
  await run.heard(1);
  expect(asked[0]?.headers).toMatchObject({
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "=?base64?Z3LDtsOfZXI=?=",
  });
  await run.end();
});

test("a token that was renewed is used from the next request on", async () => {
  answer = (one, response) => {
    if (one.headers.authorization === "Bearer tok")
      return json(response, 401, JSON.stringify(failed(null, "expired")));
    return json(response, 200, result(idOf(one)));
  };
  const run = started();
  run.say(request(1));
  expect(await run.heard(1)).toEqual([
    failed(1, expect.stringMatching(/does not accept the token \(expired\).*renew/)),
  ]);
  token = "new";
  run.say(request(2));
  expect((await run.heard(2))[1]).toEqual(JSON.parse(result(2)));
  await run.end();
});

describe("every request is answered once", () => {
  test.each<[string, Answer, string]>([
    ["a gateway that hangs up", (_, response) => void response.destroy(), "whether it was done is not known"],
    ["a problem document", (_, response) => json(response, 503, '{"title":"no"}'), "the gateway answers 503"],
    ["an answer that is no JSON", (_, response) => json(response, 200, "<html>"), "no message of JSON-RPC"],
    ["an empty answer", (_, response) => json(response, 200, ""), "ended before it was whole"],
    ["an answer to another", (_, response) => json(response, 200, result(7)), "ended before it was whole"],
    [
      "a redirect",
      (_, response) => void response.writeHead(307, { location: "/" }).end(),
      "cannot be reached",
    ],
    [
      "a stream that breaks off and says no place",
      (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" }).write(": hello\n\n");
        response.destroy();
      },
      "whether it was done is not known",
    ],
  ])("%s", async (_, given, words) => {
    answer = given;
    const run = started();
    run.say(request(1));
    while (run.lines.every((line) => !line.includes('"error"'))) await run.heard(run.lines.length + 1);
    const last = JSON.parse(run.lines.at(-1) ?? "");
    expect(last).toEqual(failed(1, expect.stringContaining(words)));
    expect(asked).toHaveLength(1);
    await run.end();
  });

  test("with the server's own error, its code and what comes with it", async () => {
    const error = { code: -32022, message: "unsupported", data: { supported: ["2025-11-25"] } };
    answer = (_, response) => json(response, 400, JSON.stringify({ jsonrpc: "2.0", id: null, error }));
    const run = started();
    run.say(request(1));
    expect(await run.heard(1)).toEqual([{ jsonrpc: "2.0", id: 1, error }]);
    await run.end();
  });

  test("by the rest of a stream that broke, which is asked for from where it was read", async () => {
    const event = (text: string) => `id: e1\nretry: 1\ndata: ${text}\n\n`;
    answer = (one, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      if (one.method.startsWith("GET")) response.end(event(result(1)));
      else response.write(event(""), () => response.destroy());
    };
    const run = started();
    run.say(request(1));
    expect(await run.heard(1)).toEqual([JSON.parse(result(1))]);
    expect(asked.map(({ method, headers }) => [method.split(" ")[0], headers["last-event-id"]])).toEqual([
      ["POST", undefined],
      ["GET", "e1"],
    ]);
    await run.end();
  });

  test("an id that is in use is not asked again", async () => {
    answer = () => {};
    const run = started();
    run.say(request(1));
    run.say(request(1));
    expect(await run.heard(1)).toEqual([failed(1, expect.stringContaining("in use"))]);
    run.stop.abort();
    await run.done;
    expect(asked.length).toBeLessThanOrEqual(1);
  });
});

test("a request that never left says so, and the next is asked once the token is there", async () => {
  answer = (one, response) => json(response, 200, result(idOf(one)));
  const run = started();
  token = "";
  run.say(request(1));
  expect(await run.heard(1)).toEqual([
    failed(1, "steno: the gateway cannot be asked: there is no token; nothing was asked"),
  ]);
  token = "tok";
  run.say(request(2));
  expect((await run.heard(2))[1]).toEqual(JSON.parse(result(2)));
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  run.say(request(3));
  expect((await run.heard(3))[2]).toEqual(
    failed(3, expect.stringMatching(/ECONNREFUSED.*nothing was asked/)),
  );
  await run.end();
});

test("a line that is no message is said to be none, and those after it are read", async () => {
  answer = (one, response) => json(response, 200, result(idOf(one)));
  const run = started();
  run.say("{]");
  run.say("x".repeat(16 * 1024 * 1024 + 1));
  run.say(request(3));
  expect(await run.heard(3)).toEqual([
    failed(null, expect.stringContaining("no message"), -32700),
    failed(null, expect.stringContaining("longer than 16 MB"), -32700),
    JSON.parse(result(3)),
  ]);
  await run.end();
});

test("a call that is cancelled is told to the gateway, hung up, and not answered", async () => {
  const { promise: hungUp, resolve: hangUp } = Promise.withResolvers<void>();
  const { promise: waits, resolve: waiting } = Promise.withResolvers<void>();
  answer = (one, response) => {
    if (one.said.includes("notifications/cancelled")) return void response.writeHead(202).end();
    response.on("close", hangUp);
    waiting();
  };
  const run = started();
  run.say(request(1));
  await waits;
  run.say({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
  await hungUp;
  await run.end();
  expect(run.lines).toEqual([]);
  expect(asked).toHaveLength(2);
});

test("a client that goes while a call waits takes the bridge with it", async () => {
  const { promise: waits, resolve: waiting } = Promise.withResolvers<void>();
  answer = () => waiting();
  const run = started();
  run.say(request(1));
  await waits;
  await run.end();
  expect(run.lines).toEqual([]);
});

test("a notification that is not delivered is said to a person, not to the client", async () => {
  answer = (one, response) =>
    one.said.includes("notifications/") ? void response.destroy() : json(response, 200, result(idOf(one)));
  const run = started();
  run.say({ jsonrpc: "2.0", method: "notifications/roots/list_changed" });
  run.say(request(1));
  expect(await run.heard(1)).toEqual([JSON.parse(result(1))]);
  await run.end();
  expect(run.complaints).toEqual([
    expect.stringContaining("notifications/roots/list_changed was not delivered"),
  ]);
});

test.each([
  [[], "which connection?"],
  [["No Such"], "no connection's name"],
  [["tracker", "--gateway", "ftp://x"], "http://"],
  [["tracker"], "there is no token"],
])("steno mcp %j says what is missing before it reads anything", async (args, words) => {
  const terminal = new Kept({ HOME: "/nonexistent", XDG_CONFIG_HOME: "/nonexistent" });
  await expect(mcp(args, terminal)).rejects.toThrow(words);
});
