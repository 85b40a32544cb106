// The http kind through a whole node: stock clients before it, an ordinary web service behind it, the record beside it.
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { endSessions } from "#test/support/git-site.ts";
import { readMessages } from "#test/support/messages.ts";
import { type RecordedExchange, readRecording } from "#test/support/recording.ts";
import { until } from "#test/support/servers/children.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { GZIPPED, startWeb, type WebServer } from "#test/support/servers/web.ts";
import { type Node, startNode } from "#test/support/steno.ts";
import { header, raw } from "#test/support/tap.ts";

const POLICY = `
@id("developers") @reason("developers may use the tracker")
permit (principal in Group::"developers", action == Action::"http.request", resource in Connection::"tickets");
@id("no-delete") @reason("nothing is deleted through the gateway")
forbid (principal, action == Action::"http.request", resource) when { context.method == "DELETE" };
@id("no-admin") @reason("the admin pages are closed")
forbid (principal, action == Action::"http.request", resource) when { context.path like "/admin*" };
`;

let oidc: OidcServer;
let web: WebServer;
let node: Node;
let token: string;
let base: string;

beforeAll(async () => {
  [oidc, web] = await Promise.all([startOidc(), startWeb()]);
  node = await startNode({
    issuer: oidc.issuer,
    connections: [
      {
        name: "tickets",
        kind: "http",
        upstream: `${web.url}/api`,
        credential: "env:TICKETS_KEY",
        scheme: "header",
        header: "X-Api-Key",
      },
    ],
    policies: { "http.cedar": POLICY },
    env: { TICKETS_KEY: "the-upstream-secret" },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
  base = `${node.gateway()}/http/tickets`;
});
afterAll(async () => {
  await node?.stop();
  await web?.stop();
  await oidc?.stop();
});

const ask = (path: string, init: RequestInit & { duplex?: "half" } = {}): Promise<Response> =>
  fetch(`${base}${path}`, {
    redirect: "manual",
    ...init,
    headers: { authorization: `Bearer ${token}`, ...init.headers },
  });
const recorded = async (response: { headers: Headers }): Promise<RecordedExchange> => {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { exchanges } = await readRecording(node.archive);
  const exchange = exchanges.get(response.headers.get("steno-exchange") ?? "");
  if (!exchange) throw new Error("the exchange is not in the record");
  return exchange;
};

test.each(["GET", "POST", "PUT", "PATCH", "OPTIONS", "HEAD"])(
  "%s passes with its query, its headers and its body, and without the agent's token",
  async (method) => {
    web.seen.length = 0;
    const body = method === "GET" || method === "HEAD" ? null : "{}";
    const response = await ask("/v1/issues?state=open&key=mine", {
      method,
      body,
      headers: { "x-api-key": "the-agents-own", "x-tracker-hint": "yes", cookie: "sid=1" },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("etag")).toBe('"1"');
    expect(response.headers.get("steno-session")).toMatch(/^ses_/);
    const [seen] = web.seen;
    expect(seen?.method).toBe(method);
    expect(seen?.url).toBe("/api/v1/issues?state=open");
    expect(seen?.body.toString()).toBe(body ?? "");
    expect(header(seen?.headers ?? [], "x-tracker-hint")).toBe("yes");
    expect(header(seen?.headers ?? [], "x-api-key")).toBe("the-upstream-secret");
    expect(header(seen?.headers ?? [], "authorization")).toBeUndefined();
    expect(header(seen?.headers ?? [], "cookie")).toBeUndefined();
  },
);

test("what policy forbids never reaches the service, and the no is a problem document", async () => {
  web.seen.length = 0;
  const refused = [await ask("/v1/issues/1", { method: "DELETE" }), await ask("/%61dmin/users")];
  for (const response of refused) {
    expect(response.status).toBe(403);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
  }
  expect(await refused[0]?.json()).toMatchObject({
    type: "urn:steno:refusal:denied",
    detail: "nothing is deleted through the gateway",
  });
  expect(await refused[1]?.json()).toMatchObject({ detail: "the admin pages are closed" });
  const unknown = await fetch(`${base}/v1/issues`);
  expect(unknown.status).toBe(401);
  expect(unknown.headers.get("www-authenticate")).toBe('Bearer realm="steno"');
  expect(web.seen).toEqual([]);
});

test("a compressed answer keeps its bytes, for the agent and in the record", async () => {
  const answer = await raw(`${base}/gzip`, { authorization: `Bearer ${token}`, "accept-encoding": "gzip" });
  expect(header(answer.headers, "content-encoding")).toBe("gzip");
  expect(Buffer.compare(answer.body, GZIPPED)).toBe(0);
  const exchange = await recorded({
    headers: new Headers({ "steno-exchange": header(answer.headers, "steno-exchange") ?? "" }),
  });
  expect(gunzipSync(exchange.answered.bytes).toString()).toBe("compressed, to the byte");
});

test("server-sent events arrive one by one, as the service sends them", async () => {
  const response = await ask("/events");
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    // The service sends the next one only now.
    if (text.endsWith("\n\n")) web.heard();
  }
  expect(text).toBe("id: 0\ndata: tick 0\n\nid: 1\ndata: tick 1\n\nid: 2\ndata: tick 2\n\n");
  const exchange = await recorded(response);
  expect(exchange.answered).toEqual({ bytes: Buffer.from(text), end: "complete" });
});

test("bodies stream both ways at once: what was said is answered before the next thing is said", async () => {
  const sent = request(`${base}/both-ways`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "transfer-encoding": "chunked" },
  });
  sent.write("one");
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  const heard = answer[Symbol.asyncIterator]();
  expect(String((await heard.next()).value)).toBe("one");
  sent.write("two");
  expect(String((await heard.next()).value)).toBe("two");
  sent.end();
  expect((await heard.next()).done).toBe(true);
  const response = { headers: new Headers({ "steno-exchange": String(answer.headers["steno-exchange"]) }) };
  const exchange = await recorded(response);
  expect(exchange.sent).toEqual({ bytes: Buffer.from("onetwo"), end: "complete" });
  expect(exchange.answered).toEqual({ bytes: Buffer.from("onetwo"), end: "complete" });
});

test("a redirect is not followed, and leads through the gateway again", async () => {
  const to = async (target: string): Promise<string | null> => {
    const response = await ask(`/moved?to=${encodeURIComponent(target)}`);
    expect(response.status).toBe(302);
    return response.headers.get("location");
  };
  expect(await to("/api/v1/issues/2?x=1")).toBe("/http/tickets/v1/issues/2?x=1");
  expect(await to(`${web.url}/api/a`)).toBe("/http/tickets/a");
  expect(await to("https://elsewhere.example/x")).toBe("https://elsewhere.example/x");
});

test("the service's challenges and cookies stay at the gateway", async () => {
  const response = await ask("/login");
  expect(response.status).toBe(401);
  expect(response.headers.get("www-authenticate")).toBeNull();
  expect(response.headers.get("set-cookie")).toBeNull();
});

test("an answer without a body has none", async () => {
  const response = await ask("/nothing");
  expect(response.status).toBe(204);
  expect(await response.text()).toBe("");
});

test("an agent that hangs up in an endless answer ends it upstream, and the record says where", async () => {
  const before = web.cut();
  const control = new AbortController();
  const response = await ask("/endless", { signal: control.signal });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  control.abort();
  await until(() => web.cut() === before + 1, "the service to see that nobody listens");
  await sleep(300);
  expect((await recorded(response)).answered.end).toBe("cut");
});

test.each([
  ["two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", "{}x"],
  [
    "a length and chunks",
    "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
  ],
  ["an unknown transfer coding", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"],
  ["a folded header", "X-A: b\r\n c\r\n", ""],
  ["a space before a colon", "Content-Length : 2\r\n", "{}"],
])("%s cannot smuggle a request past the gateway", async (_, headers, body) => {
  web.seen.length = 0;
  const { hostname, port } = new URL(node.gateway());
  const socket = connect(Number(port), hostname);
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.write(
    `POST /http/tickets/v1/x HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer ${token}\r\n${headers}\r\n${body}`,
  );
  await Promise.race([new Promise((resolve) => socket.once("close", resolve)), sleep(500)]);
  socket.destroy();
  expect(web.seen.map(({ url }) => url)).not.toContain("/api/smuggled");
  expect(web.seen.length).toBeLessThanOrEqual(1);
  expect(text).toMatch(/^(HTTP\/1\.1 [245]\d\d|$)/);
});

const open = async (
  path: string,
): Promise<{ socket: WebSocket; heard: (string | Buffer)[]; exchange: string }> => {
  const socket = new WebSocket(`${base.replace("http:", "ws:")}${path}`, ["chat.v1"], {
    headers: { authorization: `Bearer ${token}` },
  });
  const heard: (string | Buffer)[] = [];
  let exchange = "";
  socket.on("message", (message, isBinary) =>
    heard.push(isBinary ? (message as Buffer) : message.toString()),
  );
  socket.on("upgrade", ({ headers }) => {
    exchange = String(headers["steno-exchange"]);
  });
  await new Promise<void>((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return { socket, heard, exchange };
};
test("a WebSocket passes messages both ways, in order, and the record has each of them", async () => {
  const { socket, heard, exchange } = await open("/socket");
  expect(socket.protocol).toBe("chat.v1");
  const long = Buffer.alloc(300_000, 7);
  const said: (string | Buffer)[] = ["hello", Buffer.from([0, 255, 1]), "größer", long];
  for (const message of said) socket.send(message);
  await until(() => heard.length === said.length, "the echo");
  expect(heard).toEqual(said);
  const closed = new Promise<[number, string]>((resolve) =>
    socket.once("close", (code, reason) => resolve([code, reason.toString()])),
  );
  socket.send("bye");
  expect(await closed).toEqual([4001, "as you wish"]);
  await sleep(1_000);
  const { request, response, sent, answered } = await recorded({
    headers: new Headers({ "steno-exchange": exchange }),
  });
  expect(request.operation).toMatchObject({ kind: "http.request", upgrade: "websocket" });
  expect(response?.status).toBe(101);
  expect((await readMessages(sent.bytes)).slice(0, 5)).toEqual([...said, "bye"]);
  expect(await readMessages(answered.bytes)).toEqual([...said, [4001, "as you wish"]]);
  expect(answered.end).toBe("complete");
});

test("a WebSocket whose service breaks off is closed for the agent, and the record says that it was cut", async () => {
  const { socket, exchange } = await open("/socket");
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  socket.send("break");
  expect(await closed).toBeGreaterThan(1000);
  await sleep(1_000);
  const { answered } = await recorded({ headers: new Headers({ "steno-exchange": exchange }) });
  expect(answered.end).toMatch(/cut|complete/);
});

test("a killed session closes its WebSockets", async () => {
  const { socket, heard } = await open("/socket");
  socket.send("still here");
  await until(() => heard.length === 1, "the echo");
  await sleep(1_200);
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  expect(await closed).toBe(1008);
});

test("a service that opens no WebSocket answers as it does", async () => {
  const socket = new WebSocket(`${base.replace("http:", "ws:")}/login`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const status = await new Promise<number>((resolve) => {
    socket.once("unexpected-response", (_, response) => resolve(response.statusCode ?? 0));
    socket.once("error", () => undefined);
  });
  expect(status).toBeGreaterThanOrEqual(400);
});

test("the whole record verifies, and holds neither the agent's token nor the service's key", async () => {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { code, out } = await node.cli("verify", node.archive);
  expect([code, out.split(" sessions=")[0]]).toEqual([0, "VALID COMPLETE"]);
  const { everything } = await readRecording(node.archive);
  expect(everything.includes(token)).toBe(false);
  expect(everything.includes("the-upstream-secret")).toBe(false);
  expect(everything.includes("the-agents-own")).toBe(false);
});
