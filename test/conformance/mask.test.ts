// Masking through a whole node: what an upstream gets, what an agent gets, and what the record holds.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { MaskFrame } from "#durable/format/frame.ts";
import { endSessions } from "#test/support/git-site.ts";
import { readRecording } from "#test/support/recording.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { type Node, startNode } from "#test/support/steno.ts";

const KEY = `ghp_${"a1B2".repeat(9)}`;
const MAIL = "ann@example.com";
const POLICY = `
@id("all") permit (principal in Group::"developers", action, resource);
@id("mail") @mask("email") permit (principal, action == Action::"http.request", resource) when { context.path like "/mail*" };
@id("no-keys-out") @reason("keys do not leave") forbid (principal, action == Action::"http.request", resource)
when { context.path == "/strict" && context.findings.contains("secrets") };
@id("wrong") @mask("emial") permit (principal, action == Action::"http.request", resource) when { context.path == "/misspelled" };
`;

let oidc: OidcServer;
let node: Node;
let token: string;
let url: string;
let server: ReturnType<typeof createServer>;
const begun = Promise.withResolvers<void>();
const seen: { readonly path: string; readonly headers: IncomingMessage["headers"]; readonly body: string }[] =
  [];

const chunk = (content: string) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const path = request.url ?? "";
  seen.push({ path, headers: request.headers, body: Buffer.concat(parts).toString() });
  if (path === "/gzip") {
    response.writeHead(200, { "content-type": "text/plain", "content-encoding": "gzip" });
    response.end(gzipSync(`a ${KEY}`));
  } else if (path.endsWith("/chat/completions") || path === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunk("The key "));
    response.write(chunk("is gh"));
    // The rest is not written before the agent has seen the beginning.
    await Promise.race([begun.promise, sleep(20_000)]);
    for (const piece of `${KEY.slice(2)}, and that is all.`.match(/.{1,5}/gs) ?? [])
      response.write(chunk(piece));
    response.end("data: [DONE]\n\n");
  } else if (path === "/large") {
    response.writeHead(200, { "content-type": "application/json", etag: '"1"' });
    response.write('{"items":[');
    for (let i = 0; i < 1_500; i++)
      response.write(`${i > 0 ? "," : ""}{"i":${i},"text":"${"word ".repeat(200)}${KEY}"}`);
    response.end("]}");
  } else {
    const text = JSON.stringify({ path, token: KEY, mail: MAIL });
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
      digest: "sha-256=x",
    });
    response.end(text);
  }
}

beforeAll(async () => {
  server = createServer(
    (request, response) => void answer(request, response).catch(() => response.destroy()),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  oidc = await startOidc();
  node = await startNode({
    issuer: oidc.issuer,
    mask: {
      detectors: ["secrets", "project"],
      patterns: [{ name: "project", pattern: "(?i)\\bproject falcon\\b", severity: "high" }],
    },
    connections: [
      { name: "web", kind: "http", upstream },
      { name: "model", kind: "llm", upstream },
    ],
    policies: { "mask.cedar": POLICY },
  });
  token = await oidc.token({ sub: "alice", audience: "steno" });
  url = node.gateway();
});
afterAll(async () => {
  await node?.stop();
  server?.close();
  await oidc?.stop();
});

const ask = (path: string, init: RequestInit & { duplex?: "half" } = {}): Promise<Response> =>
  fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${token}`, ...init.headers } });
const json = (body: object) => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});

async function recorded(response: Response) {
  await endSessions(node, await oidc.token({ sub: "dave", audience: "steno-console" }));
  const { exchanges, sessions, everything } = await readRecording(node.archive);
  const x = response.headers.get("steno-exchange") ?? "";
  const exchange = exchanges.get(x);
  if (!exchange) throw new Error("the exchange is not in the record");
  const masks = [...sessions.values()]
    .flat()
    .filter((frame): frame is MaskFrame => frame.k === "mask" && frame.x === x);
  return { exchange, masks, everything };
}

test("upstream gets the masked request, the agent the masked answer, and the record what passed, with where and how much", async () => {
  seen.length = 0;
  const response = await ask("/http/web/echo", json({ note: `use ${KEY}`, plan: "Project Falcon" }));
  const text = await response.text();
  expect(JSON.parse(text)).toEqual({ path: "/echo", token: "[masked:secrets]", mail: MAIL });
  expect(response.headers.get("content-length")).toBe(`${Buffer.byteLength(text)}`);
  expect(response.headers.get("digest")).toBeNull();
  expect(seen[0]?.body).toBe('{"note":"use [masked:secrets]","plan":"[masked:project]"}');
  expect(seen[0]?.headers["accept-encoding"]).toBe("identity");
  const { exchange, masks, everything } = await recorded(response);
  expect(exchange.sent.bytes.toString()).toBe(seen[0]?.body);
  expect(exchange.answered.bytes.toString()).toBe(text);
  expect(masks.map(({ dir, detector, rule, severity, len }) => [dir, detector, rule, severity, len])).toEqual(
    [
      ["c2s", "secrets", "github-token", "high", 40],
      ["c2s", "project", "project", "high", 14],
      ["s2c", "secrets", "github-token", "high", 40],
    ],
  );
  for (const { dir, off, detector } of masks) {
    const body = (dir === "c2s" ? exchange.sent : exchange.answered).bytes;
    expect(body.subarray(off).toString()).toMatch(new RegExp(`^\\[masked:${detector}\\]`));
  }
  expect(masks[0]?.digest).toBe(masks[2]?.digest);
  expect(masks[0]?.digest).not.toBe(createHash("sha256").update(KEY).digest("hex"));
  expect(everything.includes(KEY)).toBe(false);
  expect((await node.cli("verify", node.archive)).code).toBe(0);
});

test("a policy's @mask adds detectors where it applies, and one that is misspelled lets nothing through", async () => {
  expect(await (await ask("/http/web/mail")).json()).toMatchObject({
    mail: "[masked:email]",
    token: "[masked:secrets]",
  });
  seen.length = 0;
  const response = await ask("/http/web/misspelled");
  expect(response.status).toBe(503);
  expect(await response.text()).toContain("a policy names a detector that is not there");
  expect(seen).toEqual([]);
});

test("a policy denies by what was found, and the refused body is masked in the record", async () => {
  seen.length = 0;
  const response = await ask("/http/web/strict", json({ note: `use ${KEY}` }));
  expect([response.status, await response.text()]).toEqual([
    403,
    expect.stringContaining("keys do not leave"),
  ]);
  expect(seen).toEqual([]);
  const { exchange, masks, everything } = await recorded(response);
  expect(exchange.sent.bytes.toString()).toBe('{"note":"use [masked:secrets]"}');
  expect(masks).toHaveLength(1);
  expect(everything.includes(KEY)).toBe(false);
  expect((await ask("/http/web/strict", json({ note: "nothing" }))).status).toBe(200);
});

test("a key that a model writes in pieces is masked, and the words before it have not waited for the end", async () => {
  const response = await ask(
    "/llm/model/v1/chat/completions",
    json({ model: "m", stream: true, messages: [{ role: "user", content: `mine is ${KEY}` }] }),
  );
  const pieces: string[] = [];
  for await (const part of response.body ?? []) {
    pieces.push(Buffer.from(part).toString());
    if (pieces.join("").includes('"The key "')) begun.resolve();
  }
  const contents = [...pieces.join("").matchAll(/"content":"([^"]*)"/g)].map(([, content]) => content);
  expect(contents.join("")).toBe("The key is [masked:secrets], and that is all.");
  expect(pieces.length).toBeGreaterThan(1);
  expect(pieces.join("").endsWith("data: [DONE]\n\n")).toBe(true);
  expect(seen.at(-1)?.body).toContain("mine is [masked:secrets]");
  const { exchange, masks } = await recorded(response);
  expect(exchange.answered.bytes.toString()).toBe(pieces.join(""));
  expect(masks.map(({ dir }) => dir)).toEqual(["c2s", "s2c"]);
});

test("a large answer is masked as it streams, each mask where it is, and stays JSON", async () => {
  const response = await ask("/http/web/large");
  const text = await response.text();
  const { items } = JSON.parse(text) as { items: { text: string }[] };
  expect(items).toHaveLength(1_500);
  expect(items.every(({ text: one }) => one.endsWith("word [masked:secrets]"))).toBe(true);
  expect(response.headers.get("etag")).toBeNull();
  const { exchange, masks } = await recorded(response);
  expect(exchange.answered.bytes.toString()).toBe(text);
  expect(masks).toHaveLength(1_500);
  for (const { off } of masks)
    expect(exchange.answered.bytes.subarray(off, off + 16).toString()).toBe("[masked:secrets]");
});

test("a large request is masked as it streams, and what was hidden is in the record", async () => {
  seen.length = 0;
  const body = `${"word ".repeat(200_000)}${KEY} ${"word ".repeat(1_000)}`;
  const response = await ask("/http/web/upload", {
    method: "POST",
    body,
    headers: { "content-type": "text/plain" },
  });
  expect(response.status).toBe(200);
  expect(seen[0]?.body).toBe(body.replace(KEY, "[masked:secrets]"));
  const { exchange, masks } = await recorded(response);
  expect(exchange.sent.bytes.toString()).toBe(seen[0]?.body);
  expect(masks.filter(({ dir }) => dir === "c2s").map(({ off }) => off)).toEqual([1_000_000]);
});

test("what cannot be read does not pass: an answer or a request in an encoding, a WebSocket", async () => {
  const answered = await ask("/http/web/gzip");
  expect([answered.status, await answered.text()]).toEqual([
    502,
    expect.stringContaining("cannot be masked"),
  ]);
  seen.length = 0;
  const sent = await ask("/http/web/echo", {
    method: "POST",
    body: gzipSync(KEY),
    headers: { "content-encoding": "gzip", "content-type": "text/plain" },
  });
  expect([sent.status, await sent.text()]).toEqual([
    400,
    expect.stringContaining("without a content encoding"),
  ]);
  expect(seen).toEqual([]);
});

test("an answer is not asked for in ranges, so that no half of a secret comes alone", async () => {
  seen.length = 0;
  await (await ask("/http/web/echo", { headers: { range: "bytes=0-20" } })).text();
  expect(seen[0]?.headers["range"]).toBeUndefined();
});
